import { posix } from "node:path";

export type ChangeKind = "create" | "write" | "remove" | "rename" | "chmod";
export interface Change {
	readonly kind: ChangeKind;
	/** Relative to the watched directory; `.` is the directory itself. */
	readonly name: string;
}

/** One of inotify's events as `spawner watch` prints it. */
export interface RawEvent {
	readonly mask: number;
	/** The same on both halves of a rename. */
	readonly cookie: number;
	readonly path: string;
}

/** In the order in which one event's kinds are reported. */
const KINDS: readonly (readonly [ChangeKind, number])[] = [
	["create", 0x100 | 0x80], // IN_CREATE, IN_MOVED_TO
	["rename", 0x40 | 0x800], // IN_MOVED_FROM, IN_MOVE_SELF
	["chmod", 0x4], // IN_ATTRIB
	["write", 0x2], // IN_MODIFY
	["remove", 0x200 | 0x400], // IN_DELETE, IN_DELETE_SELF
];
const IN_MOVED_TO = 0x80;

const UPLOAD = /^\.dormice-upload-(new|over)-/;

/** The name under which an upload is written before it takes its place. */
export function uploadName(overwrites: boolean, unique: string): string {
	return `.dormice-upload-${overwrites ? "over" : "new"}-${unique}`;
}

/**
 * Makes changes of inotify's events. Uploads are written under a name of their own and then renamed; a watcher is told
 * of the file it knows, as if it had been written in place.
 */
export class Changes {
	/** By cookie, the upload that is just being renamed. */
	readonly #uploads = new Map<number, "new" | "over">();

	from(event: RawEvent): Change[] {
		const upload = UPLOAD.exec(posix.basename(event.path))?.[1];
		if (upload !== undefined) {
			this.#uploads.clear();
			if (event.cookie !== 0) this.#uploads.set(event.cookie, upload === "new" ? "new" : "over");
			return [];
		}
		const name = event.path || ".";
		const placed = event.mask & IN_MOVED_TO ? this.#uploads.get(event.cookie) : undefined;
		if (placed !== undefined) {
			const write: Change = { kind: "write", name };
			return placed === "new" ? [{ kind: "create", name }, write] : [write];
		}
		return KINDS.filter(([, bits]) => event.mask & bits).map(([kind]) => ({ kind, name }));
	}
}
