import { existsSync, readFileSync, rmSync } from "node:fs";
import { isAlive, type ProcessIdentity } from "./process.ts";
import { writeDurably } from "./settings.ts";

/** The process that a record names, when it still lives. */
export function readRecord(path: string): ProcessIdentity | undefined {
	if (!existsSync(path)) return undefined;
	try {
		const identity = JSON.parse(readFileSync(path, "utf8")) as ProcessIdentity;
		return isAlive(identity) ? identity : undefined;
	} catch (error) {
		// Written atomically, so what cannot be parsed is not ours; it names no process.
		if (error instanceof SyntaxError) return undefined;
		throw error;
	}
}

export function writeRecord(path: string, identity: ProcessIdentity): void {
	writeDurably(path, JSON.stringify(identity), 0o644);
}

export function removeRecord(path: string): void {
	rmSync(path, { force: true });
}
