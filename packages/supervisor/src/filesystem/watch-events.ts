import { isStaged } from "../files/staging.ts";
import type { Expected } from "./watchers.ts";

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

/**
 * Makes changes of inotify's events. An upload is written elsewhere and then renamed; a watcher is told of it as of a file
 * that is written in place.
 */
export class Changes {
	readonly #uploads: Pick<Expected, "take">;

	constructor(uploads: Pick<Expected, "take">) {
		this.#uploads = uploads;
	}

	from(event: RawEvent): Change[] {
		if (isStaged(event.path)) return [];
		const name = event.path || ".";
		const upload = event.mask & IN_MOVED_TO ? this.#uploads.take(name) : undefined;
		if (upload !== undefined) {
			const write: Change = { kind: "write", name };
			return upload === "created" ? [{ kind: "create", name }, write] : [write];
		}
		return KINDS.filter(([, bits]) => event.mask & bits).map(([kind]) => ({ kind, name }));
	}
}
