import { mkdir, open, rm, truncate } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { DormiceError } from "@dormice/protocol";
import { bestEffort, log } from "../log.ts";
import type { Entry, Filed, Journal, Kept, Segment } from "./journal.ts";
import { drop, slice } from "./pieces.ts";

export interface TranscriptLimits {
	/** Two files of this size hold what is kept: at least this much of the newest output, at most twice as much. */
	readonly segmentBytes: number;
	/** Less than this stays in memory: a short command writes no file. */
	readonly memoryBytes: number;
	/** This much that the disk has not taken yet, or a follower has not read, makes the process wait. */
	readonly backlogBytes: number;
}

export const TRANSCRIPT_LIMITS: TranscriptLimits = { segmentBytes: 8 << 20, memoryBytes: 4096, backlogBytes: 4 << 20 };

/** Output comes in small pieces; this long they are gathered for one write. */
const GATHER_MS = 50;
const BATCH_BYTES = 1 << 20;
const READ_BYTES = 256 << 10;

export interface TranscriptOptions {
	readonly limits?: TranscriptLimits;
	/** Where what no file has yet is kept for another supervisor. */
	readonly journal?: Journal | undefined;
	/** What one before had of this very stream. */
	readonly kept?: Kept | undefined;
}

/** Somebody who reads along. */
interface Follower {
	position: number;
}

/**
 * What a process wrote to one stream, by offset, for whoever comes later or comes again: the newest part of it, on disk.
 * No file is held open, since a guest may delete it, and a sandbox with a deleted file open cannot be stored.
 */
export class Transcript {
	readonly #path: string;
	readonly #limits: TranscriptLimits;
	readonly #regulate: () => void;
	readonly #followers = new Set<Follower>();
	readonly #waiting = new Set<() => void>();
	readonly #entry: Entry | undefined;
	readonly #busy = new Set<Promise<unknown>>();
	#segments: Segment[] = [];
	#nextFile = 0;
	/** What no file has yet, oldest first; begins at `end - #pendingBytes`. */
	#pending: Buffer[] = [];
	#pendingBytes = 0;
	#gathering: NodeJS.Timeout | undefined;
	#writing: Promise<void> | undefined;
	#emptying: Promise<unknown> = Promise.resolve();
	#ended = false;
	#removed = false;
	#end = 0;

	/** Files are `path.0` and `path.1`. `regulate` is called when `full` may have changed. */
	constructor(
		path: string,
		regulate: () => void,
		{ limits = TRANSCRIPT_LIMITS, journal, kept }: TranscriptOptions = {},
	) {
		this.#path = path;
		this.#regulate = regulate;
		this.#limits = limits;
		if (kept) this.#takeOver(kept);
		this.#entry = journal?.open(basename(path), () => ({ filed: this.#filed(), pending: this.#pending }));
	}

	/** Offset of the oldest byte that is kept. */
	get earliest(): number {
		return this.#segments[0]?.from ?? this.#end - this.#pendingBytes;
	}

	/** Offset of the next byte. */
	get end(): number {
		return this.#end;
	}

	get followers(): number {
		return this.#followers.size;
	}

	/** Bytes kept. */
	get size(): number {
		return this.#end - this.earliest;
	}

	/** Whether the process should wait before it writes more. */
	get full(): boolean {
		if (this.#ended) return false;
		const slowest = Math.min(...[...this.#followers].map(({ position }) => position));
		return this.#pendingBytes >= this.#limits.backlogBytes || this.#end - slowest >= this.#limits.backlogBytes;
	}

	append(bytes: Buffer): void {
		if (this.#ended || bytes.length === 0) return;
		this.#pending.push(bytes);
		this.#pendingBytes += bytes.length;
		this.#end += bytes.length;
		// Before anybody reads it: what somebody knows, the next supervisor has.
		this.#entry?.append(bytes);
		this.#wake();
		if (this.#writing || this.#pendingBytes < this.#limits.memoryBytes) return;
		if (this.#pendingBytes >= BATCH_BYTES) this.#write();
		else this.#gathering ??= setTimeout(() => this.#write(), GATHER_MS);
	}

	/** No more will come; followers end when they have read what there is. */
	close(): void {
		this.#ended = true;
		this.#entry?.end();
		this.#wake();
	}

	/** Throws `output_out_of_range` unless the byte at `offset` is kept or the next to come. */
	check(offset: number): void {
		if (offset >= this.earliest && offset <= this.#end && !this.#removed) return;
		const kept = this.#removed ? "nothing is kept any more" : `bytes ${this.earliest} to ${this.#end} are kept`;
		throw new DormiceError("output_out_of_range", `offset ${offset} cannot be read: ${kept}`);
	}

	/** The bytes from `from` on: to the present end, or with `follow` until no more will come. */
	async *read(from: number, options: { follow: boolean; signal: AbortSignal }): AsyncGenerator<Buffer> {
		this.check(from);
		const follower = { position: from };
		const stopAt = options.follow ? Number.POSITIVE_INFINITY : this.#end;
		this.#followers.add(follower);
		try {
			while (follower.position < stopAt) {
				options.signal.throwIfAborted();
				const bytes = await this.#readAt(follower.position);
				if (bytes.length === 0) {
					if (this.#ended) return;
					await this.#more(follower.position, options.signal);
					continue;
				}
				const wanted = bytes.subarray(0, stopAt - follower.position);
				yield wanted;
				follower.position += wanted.length;
				this.#regulate();
			}
		} finally {
			this.#followers.delete(follower);
			this.#regulate();
		}
	}

	/** Forgets everything and deletes the files. */
	async remove(): Promise<void> {
		this.#removed = true;
		this.close();
		clearTimeout(this.#gathering);
		// A file that is deleted while it is read would keep the sandbox from being stored.
		await Promise.allSettled([...this.#busy, this.#writing, this.#emptying]);
		this.#segments = [];
		this.#pending = [];
		this.#pendingBytes = 0;
		for (const file of [0, 1]) await bestEffort("delete kept output", rm(`${this.#path}.${file}`, { force: true }));
	}

	/** Some of the bytes at `offset`; none at the end. */
	async #readAt(offset: number): Promise<Buffer> {
		this.check(offset);
		const pendingFrom = this.#end - this.#pendingBytes;
		if (offset >= pendingFrom) return slice(this.#pending, offset - pendingFrom, READ_BYTES);
		const segment = this.#segments.findLast(({ from }) => from <= offset);
		if (!segment) throw new DormiceError("internal", `no file has offset ${offset}`);
		const length = Math.min(READ_BYTES, segment.from + segment.length - offset);
		const bytes = await this.#during(readFileAt(segment.path, offset - segment.from, length)).catch(() => undefined);
		// It was used again meanwhile: what was read may be newer output.
		if (!this.#segments.includes(segment)) this.check(offset);
		// The guest's root may do with the files what it likes.
		else if (bytes?.length !== length) this.#lose("its file is gone");
		else return bytes;
		return this.#readAt(offset);
	}

	#write(): void {
		clearTimeout(this.#gathering);
		this.#gathering = undefined;
		this.#writing ??= this.#writeAll().finally(() => {
			this.#writing = undefined;
			this.#regulate();
		});
	}

	async #writeAll(): Promise<void> {
		while (this.#pendingBytes >= this.#limits.memoryBytes && !this.#removed) {
			await this.#emptying;
			const segment = this.#roomySegment();
			const room = this.#limits.segmentBytes - segment.length;
			const batch = slice(this.#pending, 0, Math.min(BATCH_BYTES, room));
			const failure = await writeFileAt(segment.path, segment.length, batch).then(
				() => undefined,
				(error: unknown) => String(error),
			);
			this.#pending = drop(this.#pending, batch.length);
			this.#pendingBytes -= batch.length;
			if (failure !== undefined || !this.#segments.includes(segment)) {
				this.#lose(failure ?? "its file is gone");
			} else segment.length += batch.length;
			this.#noteFiles();
			this.#regulate();
		}
	}

	#roomySegment(): Segment {
		const last = this.#segments.at(-1);
		if (last && last.length < this.#limits.segmentBytes) return last;
		// From here on nobody reads the oldest, and its file can be used again.
		if (this.#segments.length === 2) this.#segments.shift();
		const segment = { path: `${this.#path}.${this.#nextFile}`, from: this.#end - this.#pendingBytes, length: 0 };
		this.#nextFile = 1 - this.#nextFile;
		this.#segments.push(segment);
		// Before the file is used again: what was in it is none of ours any more.
		this.#noteFiles();
		return segment;
	}

	#filed(): Filed {
		return { segments: this.#segments, nextFile: this.#nextFile, from: this.#end - this.#pendingBytes };
	}

	#noteFiles(): void {
		if (!this.#ended) this.#entry?.file(this.#filed());
	}

	#takeOver({ filed, pending }: Kept): void {
		this.#segments = filed.segments.map((segment) => ({ ...segment }));
		this.#nextFile = filed.nextFile;
		this.#pending = [...pending];
		this.#pendingBytes = pending.reduce((sum, { length }) => sum + length, 0);
		this.#end = filed.from + this.#pendingBytes;
	}

	/** What is kept must be without a gap: it begins anew with what is still in memory, and gives its room back. */
	#lose(why: string): void {
		log("warn", "kept output is lost", { path: this.#path, before: this.#end - this.#pendingBytes, error: why });
		const files = this.#segments.map(({ path }) => bestEffort("empty a file of kept output", truncate(path)));
		this.#emptying = Promise.all([this.#emptying, ...files]);
		this.#segments = [];
	}

	#during<T>(work: Promise<T>): Promise<T> {
		const settled = work.catch(() => undefined).finally(() => this.#busy.delete(settled));
		this.#busy.add(settled);
		return work;
	}

	#wake(): void {
		for (const wake of this.#waiting) wake();
	}

	#more(offset: number, signal: AbortSignal): Promise<void> {
		return new Promise((resolve) => {
			const done = () => {
				this.#waiting.delete(done);
				signal.removeEventListener("abort", done);
				resolve();
			};
			this.#waiting.add(done);
			signal.addEventListener("abort", done);
			if (this.#end > offset || this.#ended || signal.aborted) done();
		});
	}
}

async function readFileAt(path: string, position: number, length: number): Promise<Buffer> {
	await using file = await open(path, "r");
	const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(length), 0, length, position);
	return buffer.subarray(0, bytesRead);
}

/** At position 0 the file is made anew. */
async function writeFileAt(path: string, position: number, bytes: Buffer): Promise<void> {
	if (position === 0) await mkdir(dirname(path), { recursive: true, mode: 0o700 });
	await using file = await open(path, position === 0 ? "w" : "r+", 0o600);
	for (let done = 0; done < bytes.length; ) {
		const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
		done += bytesWritten;
	}
}
