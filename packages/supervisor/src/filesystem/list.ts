import { readdir, realpath, stat } from "node:fs/promises";
import { posix } from "node:path";
import { DormiceError } from "@dormice/protocol";
import { filing } from "../errno.ts";
import { type Entry, type EntryReader, readEntry } from "./entry.ts";

/** What is below a directory, depth first, each directory in lexical order. Links below it are not followed. */
export async function listDirectory(reader: EntryReader, path: string, depth: number): Promise<Entry[]> {
	const info = await filing(`listing '${path}'`, stat(path));
	if (!info.isDirectory()) throw new DormiceError("invalid_argument", `path is not a directory: ${path}`);
	const root = await filing(`listing '${path}'`, realpath(path));
	const entries: Entry[] = [];
	await descend(root, path, depth);
	return entries;

	async function descend(directory: string, shownAs: string, levels: number): Promise<void> {
		for (const item of await filing(`listing '${shownAs}'`, readdir(directory, { withFileTypes: true })).then(sorted)) {
			const entry = await present(reader, posix.join(shownAs, item.name));
			if (entry === undefined) continue;
			entries.push(entry);
			if (item.isDirectory() && levels > 1) {
				await descend(posix.join(directory, item.name), entry.path, levels - 1);
			}
		}
	}
}

function sorted<T extends { name: string }>(items: T[]): T[] {
	return items.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Undefined when it went away while we listed. */
async function present(reader: EntryReader, path: string): Promise<Entry | undefined> {
	try {
		return await readEntry(reader, path);
	} catch (error) {
		if (error instanceof DormiceError && error.reason === "path_not_found") return undefined;
		throw error;
	}
}
