import { posix } from "node:path";
import { DormiceError, filesystem as wire } from "@dormice/protocol";
import { type Entry, type EntryReader, readEntry } from "./entry.ts";
import type { Change, ChangeKind } from "./watch-events.ts";

const SECOND_NS = 1_000_000_000n;

const FILE_TYPES: Readonly<Record<Entry["kind"], wire.FileType>> = {
	file: wire.FileType.FILE,
	directory: wire.FileType.DIRECTORY,
	symlink: wire.FileType.SYMLINK,
	other: wire.FileType.UNSPECIFIED,
};

const EVENT_TYPES: Readonly<Record<ChangeKind, wire.EventType>> = {
	create: wire.EventType.CREATE,
	write: wire.EventType.WRITE,
	remove: wire.EventType.REMOVE,
	rename: wire.EventType.RENAME,
	chmod: wire.EventType.CHMOD,
};

export function entryInfo(entry: Entry) {
	const { name, path, mode, permissions, owner, group, symlinkTarget, metadata } = entry;
	// Before 1970 too, nanoseconds count upwards.
	const nanos = ((entry.modifiedAtNs % SECOND_NS) + SECOND_NS) % SECOND_NS;
	const seconds = (entry.modifiedAtNs - nanos) / SECOND_NS;
	return {
		...{ name, path, mode, permissions, owner, group, symlinkTarget, metadata },
		type: FILE_TYPES[entry.kind],
		size: entry.size,
		modifiedTime: { seconds, nanos: Number(nanos) },
	};
}

/** With `within`, the entry too, where the change leaves one behind. */
export async function changeEvent(change: Change, within: false | { reader: EntryReader; path: string }) {
	const event = { name: change.name, type: EVENT_TYPES[change.kind] };
	if (!within || change.kind === "remove" || change.kind === "rename") return event;
	try {
		return { ...event, entry: entryInfo(await readEntry(within.reader, posix.join(within.path, change.name))) };
	} catch (error) {
		// Gone again since.
		if (error instanceof DormiceError) return event;
		throw error;
	}
}
