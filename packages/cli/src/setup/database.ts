import { chownSync, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { run } from "../command.ts";
import type { PlatformPaths } from "../platform/paths.ts";
import { DATABASE, linkLibraries, postgresCommand } from "../platform/postgres.ts";
import { requireUser } from "../platform/user.ts";
import type { SetupStep } from "./step.ts";

const ENVIRONMENT = { PATH: "/usr/bin:/bin", LANG: "C.UTF-8" };

/** The cluster and the database of the embedded PostgreSQL. It gets its name only when it is complete. */
export function databaseStep(paths: PlatformPaths): SetupStep {
	return {
		title: "Initialise PostgreSQL",
		isDone: () => existsSync(join(paths.postgres, "PG_VERSION")),
		async run(line) {
			const user = requireUser();
			linkLibraries();
			const unfinished = `${paths.postgres}.unfinished`;
			rmSync(unfinished, { recursive: true, force: true });
			mkdirSync(unfinished, { mode: 0o700 });
			chownSync(unfinished, user.uid, user.gid);
			const command = (program: string, ...args: string[]) =>
				postgresCommand(paths, user, { writable: [unfinished] }, program, ...args);
			await run(
				command(
					...(["initdb", "--pgdata", unfinished, "--username", DATABASE, "--auth", "peer"] as const),
					...["--encoding", "UTF8", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"],
					...["--locale", "C", "--no-instructions"],
				),
				{ env: ENVIRONMENT, onLine: line },
			);
			await run(command("postgres", "--single", "-D", unfinished, "postgres"), {
				env: ENVIRONMENT,
				input: `CREATE DATABASE ${DATABASE};\n`,
			});
			renameSync(unfinished, paths.postgres);
		},
	};
}
