import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writevSync } from "node:fs";
import { dirname } from "node:path";
import { isObject } from "../http/json.ts";
import { log } from "../log.ts";
import { drop } from "./pieces.ts";

/** A file of kept output, and which part of it that is. */
export interface Segment {
	readonly path: string;
	/** Offset of its first byte. */
	readonly from: number;
	length: number;
}

/** How far the files of a stream go. */
export interface Filed {
	readonly segments: readonly Segment[];
	readonly nextFile: number;
	/** Offset of the first byte that no file has. */
	readonly from: number;
}

/** All there is of a stream: its files, and after them what none has. */
export interface Kept {
	readonly filed: Filed;
	readonly pending: readonly Buffer[];
}

/** A stream's part of the journal. */
export interface Entry {
	/** These bytes came. `kept` knows of them already. */
	append(bytes: Buffer): void;
	/** Files took some. */
	file(filed: Filed): void;
	/** No more will come, and nobody needs to go on with it. */
	end(): void;
}

/** The journal is written anew when it is larger than this, and than twice what is worth keeping of it. */
const LIMIT_BYTES = 1 << 20;
const HEAD_BYTES = 8;

/**
 * What has been read of processes and is in no file of theirs yet: in memory that outlives this supervisor (a file on the
 * sandbox's tmpfs), so that the next one loses none of it. A record is the lengths of its two parts, JSON and bytes.
 */
export class Journal {
	readonly #path: string;
	readonly #streams = new Map<string, () => Kept>();
	#file: number | undefined;
	#bytes = 0;
	#limit = LIMIT_BYTES;
	#isBroken = false;

	constructor(path: string) {
		this.#path = path;
	}

	/** What a journal says, by stream. Nothing, when it is not there or not to be believed. */
	static recall(path: string): Map<string, Kept> {
		const kept = new Map<string, Kept>();
		try {
			for (const { head, body } of records(readFileSync(path))) replay(kept, head, body);
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== "ENOENT") {
				log("warn", "the journal of output cannot be read", { error: String(error) });
				kept.clear();
			}
		}
		return kept;
	}

	/** Begins or goes on with a stream; `kept` tells all of it at any time. */
	open(key: string, kept: () => Kept): Entry {
		this.#streams.set(key, kept);
		this.#write({ key, ...kept().filed }, kept().pending);
		return {
			append: (bytes) => this.#write({ key }, [bytes]),
			file: (filed) => this.#write({ key, ...filed }, []),
			end: () => this.#end(key),
		};
	}

	/** Writes it anew with what is open: what it said before of others is forgotten. */
	compact(): void {
		this.#during(() => {
			const partial = `${this.#path}.partial`;
			mkdirSync(dirname(this.#path), { recursive: true });
			rmSync(partial, { force: true });
			const file = openSync(partial, "a", 0o600);
			let bytes = 0;
			try {
				for (const [key, kept] of this.#streams) bytes += put(file, { key, ...kept().filed }, kept().pending);
				renameSync(partial, this.#path);
			} catch (error) {
				closeSync(file);
				throw error;
			}
			if (this.#file !== undefined) closeSync(this.#file);
			this.#file = file;
			this.#bytes = bytes;
			this.#limit = Math.max(LIMIT_BYTES, 2 * bytes);
		});
	}

	#write(head: object, body: readonly Buffer[]): void {
		// What is written anew holds this too.
		if (this.#file === undefined || this.#bytes > this.#limit) {
			this.compact();
			return;
		}
		const file = this.#file;
		this.#during(() => {
			this.#bytes += put(file, head, body);
		});
	}

	#end(key: string): void {
		if (!this.#streams.delete(key)) return;
		if (this.#streams.size > 0 || this.#file === undefined) {
			this.#write({ key, ended: true }, []);
			return;
		}
		const file = this.#file;
		this.#during(() => {
			ftruncateSync(file);
			this.#bytes = 0;
		});
	}

	/** One that has a gap would tell a wrong story: it is better to have none. */
	#during(write: () => void): void {
		if (this.#isBroken) return;
		try {
			write();
		} catch (error) {
			this.#isBroken = true;
			log("warn", "output is no longer kept for another supervisor", { error: String(error) });
			rmSync(this.#path, { force: true });
		}
	}
}

function put(file: number, head: object, body: readonly Buffer[]): number {
	const json = Buffer.from(JSON.stringify(head));
	const bytes = body.length === 1 && body[0] ? body[0] : Buffer.concat(body);
	const lengths = Buffer.alloc(HEAD_BYTES);
	lengths.writeUInt32LE(json.length, 0);
	lengths.writeUInt32LE(bytes.length, 4);
	const length = HEAD_BYTES + json.length + bytes.length;
	if (writevSync(file, [lengths, json, bytes]) !== length) throw new Error("there is no room for all of a record");
	return length;
}

/** The whole records; of the last one, a supervisor that died may have left a part. */
function* records(all: Buffer): Generator<{ head: unknown; body: Buffer }> {
	for (let at = 0; at + HEAD_BYTES <= all.length; ) {
		const bodyAt = at + HEAD_BYTES + all.readUInt32LE(at);
		const end = bodyAt + all.readUInt32LE(at + 4);
		if (end > all.length) return;
		yield { head: JSON.parse(all.toString("utf8", at + HEAD_BYTES, bodyAt)), body: all.subarray(bodyAt, end) };
		at = end;
	}
}

function replay(kept: Map<string, Kept>, head: unknown, body: Buffer): void {
	if (!isObject(head) || typeof head.key !== "string") throw new TypeError("a record has no key");
	const { key } = head;
	if (head.ended === true) return void kept.delete(key);
	const known = kept.get(key);
	const filed = Array.isArray(head.segments) ? (head as unknown as Filed) : known?.filed;
	if (filed === undefined) throw new TypeError("a record is of a stream that was never begun");
	const before = known?.pending ?? [];
	const pending = drop(before, filed.from - (known?.filed.from ?? filed.from));
	kept.set(key, { filed, pending: body.length > 0 ? [...pending, body] : pending });
}
