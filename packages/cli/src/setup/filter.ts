import { existsSync, mkdirSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { run } from "../command.ts";
import { FILTER_SOURCES, FILTERED, filterPath } from "../platform/filter.ts";
import type { PlatformPaths } from "../platform/paths.ts";
import type { SetupStep } from "./step.ts";

/** The libraries that take from the server and from PostgreSQL the system calls that they do not need. */
export function filterStep(paths: PlatformPaths, path: string): SetupStep {
	return {
		title: "Build the filters of system calls",
		isDone: () => FILTERED.every((name) => existsSync(filterPath(paths, name))),
		async run(line) {
			for (const name of FILTERED) {
				const made = filterPath(paths, name);
				mkdirSync(dirname(made), { recursive: true, mode: 0o700 });
				const how = ["-O2", "-Wall", "-shared", "-fPIC", "-o", `${made}.partial`];
				await run(["cc", ...how, join(FILTER_SOURCES, `${name}.c`)], { env: { PATH: path }, onLine: line });
				renameSync(`${made}.partial`, made);
			}
		},
	};
}
