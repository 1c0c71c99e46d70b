import { randomBytes } from "node:crypto";
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { DormiceError } from "@dormice/protocol";

/** What a platform remembers of how it was set up. */
export interface Settings {
	/** The port of the API and of all sandboxes' traffic. */
	port: number;
	/** The address that is listened on. */
	listen: string;
	/** Sandboxes answer at `<port>-<id>.<domain>`. */
	domain?: string;
}

/** Variables for the engine and the server, such as `DATABASE_URL`. In a file of their own: they may hold a password. */
export type Variables = Record<string, string>;

export const DEFAULT_PORT = 3999;
const DEFAULT_LISTEN = "127.0.0.1";

/** The recorded settings, or the defaults when nothing is recorded yet. */
export function readSettings(path: string): Settings {
	const defaults: Settings = { port: DEFAULT_PORT, listen: DEFAULT_LISTEN };
	return { ...defaults, ...(readJson(path) as Partial<Settings>) };
}

/** The recorded variables, overridden by those of this run. */
export function readVariables(path: string, ofThisRun: Variables): Variables {
	return { ...(readJson(path) as Variables), ...ofThisRun };
}

function readJson(path: string): unknown {
	if (!existsSync(path)) return {};
	try {
		return JSON.parse(readFileSync(path, "utf8"));
	} catch (cause) {
		throw new DormiceError("invalid_argument", `Cannot read ${path}; mend it, or delete it to go back to defaults.`, {
			cause,
		});
	}
}

export function writeSettings(path: string, settings: Settings): void {
	writeDurably(path, `${JSON.stringify(settings, undefined, "\t")}\n`, 0o644);
}

export function writeVariables(path: string, variables: Variables): void {
	writeDurably(path, `${JSON.stringify(variables, undefined, "\t")}\n`, 0o600);
}

/** The address clients on this machine use. */
export function platformUrl({ listen, port }: Settings): string {
	const host = listen === "0.0.0.0" || listen === "::" ? "127.0.0.1" : listen.includes(":") ? `[${listen}]` : listen;
	return `http://${host}:${port}`;
}

/** Replaces a file so that after a crash it is either the old one or the new one, whole. */
export function writeDurably(path: string, text: string, mode: number): void {
	const temporary = `${path}.${randomBytes(4).toString("hex")}`;
	const file = openSync(temporary, "wx", mode);
	try {
		writeSync(file, text);
		fsyncSync(file);
	} finally {
		closeSync(file);
	}
	renameSync(temporary, path);
	const directory = openSync(dirname(path), "r");
	try {
		fsyncSync(directory);
	} finally {
		closeSync(directory);
	}
}
