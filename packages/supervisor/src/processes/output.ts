import type { Socket } from "node:net";
import type { Subscription } from "../subscription.ts";
import type { Transcript } from "./transcript.ts";

export type Channel = "stdout" | "stderr" | "pty";
/** Our end of a pipe the process writes to. */
export interface Source {
	readonly channel: Channel;
	readonly socket: Socket;
	/** Keeps what comes. */
	readonly transcript: Transcript;
}
export interface Chunk {
	readonly channel: Channel;
	readonly bytes: Uint8Array;
}

const CHUNK_BYTES: Readonly<Record<Channel, number>> = { stdout: 32768, stderr: 32768, pty: 16384 };
/** How long a pipe must be silent, after its process has ended, to count as empty. */
const QUIET_MS = 100;
/**
 * How long what comes after the end still counts, once all is there that was written before: `tee` and its like end a little
 * later than their shell. A terminal's relay does not say how much it holds.
 */
const GRACE_MS = { counted: 250, uncounted: 1000 } as const;
/** What Node asks a pipe for. */
const READ_BYTES = 65536;
/** More than a pipe and our buffers hold: whatever comes after this much was written after the process ended. */
const LEFTOVER_BYTES = 512 * 1024;

/**
 * A process's output, given to everyone who subscribed, and kept. Without subscribers it is read and kept alone; with
 * one that is slow, nothing is read until that one has caught up, and the process waits as for any full pipe.
 */
export class Output {
	readonly #sources: readonly Source[];
	readonly #subscribers = new Set<Subscription<Chunk>>();
	readonly #open = new Set<Socket>();
	/** Resolves when nothing can come any more: every process that held its pipes has let go of them. */
	readonly closed: Promise<void>;
	readonly #close: () => void;
	#drained: (() => void) | undefined;
	#quiet: NodeJS.Timeout | undefined;
	#silent: NodeJS.Immediate | undefined;
	#grace: NodeJS.Timeout | undefined;
	#graceEndsAt = Number.POSITIVE_INFINITY;
	/**
	 * By pipe, what is still to come of what was written before the end: at most `bytes`, the first `buffered` of them read
	 * already.
	 */
	#owed: Map<Socket, { bytes: number; buffered: number }> | undefined;
	/** By pipe, when it last gave something, or could have. */
	readonly #lookedAt = new Map<Socket, number>();
	#leftoverBytes = 0;
	#paused = false;
	#flowing = false;

	constructor(sources: readonly Source[]) {
		this.#sources = sources;
		({ promise: this.closed, resolve: this.#close } = Promise.withResolvers<void>());
		for (const { socket } of sources) this.#open.add(socket);
	}

	/** Whether something may still be written. */
	get isHeld(): boolean {
		return this.#open.size > 0;
	}

	get subscribers(): number {
		return this.#subscribers.size;
	}

	subscribe(subscription: Subscription<Chunk>): void {
		this.#subscribers.add(subscription);
	}

	unsubscribe(subscription: Subscription<Chunk>): void {
		this.#subscribers.delete(subscription);
		this.regulate();
	}

	/** Begins to read. What is written before waits in the pipe. */
	flow(): void {
		if (this.#flowing) return;
		this.#flowing = true;
		for (const { channel, socket, transcript } of this.#sources) {
			socket.on("data", (bytes) => {
				transcript.append(bytes);
				this.#deliver(channel, bytes);
				this.#count(socket, bytes.length);
			});
			// EIO is how a terminal says that its last program is gone; the end follows.
			socket.on("error", () => socket.destroy());
			socket.once("close", () => {
				this.#open.delete(socket);
				if (this.#open.size > 0) return;
				this.#close();
				this.#finish();
			});
		}
	}

	/** Stops reading while a subscriber or what keeps the output is full, goes on when none is. */
	regulate(): void {
		const readers = [...this.#subscribers, ...this.#sources.map(({ transcript }) => transcript)];
		const full = readers.some((reader) => reader.full);
		if (full === this.#paused) return;
		this.#paused = full;
		for (const socket of this.#open) {
			if (full) socket.pause();
			else socket.resume();
		}
		this.#resume();
	}

	/**
	 * Called when the process has ended, with how much waited in each of its pipes then: resolves when all it wrote has been
	 * delivered. A background child may hold the pipes open for ever, and write all the time, so silence counts as the end,
	 * and so does a while after the last byte that was there. Reading goes on after that, into nothing: the child
	 * would die of a broken pipe.
	 */
	drain(unread: readonly (number | undefined)[]): Promise<void> {
		if (this.#open.size === 0) return Promise.resolve();
		const owed = this.#sources.map(({ socket }, i) => [socket, unread[i] ?? Number.NaN] as const);
		if (owed.every(([, bytes]) => !Number.isNaN(bytes)))
			this.#owed = new Map(
				owed.map(([socket, bytes]) => {
					const buffered = socket.readableLength;
					return [socket, { bytes: bytes + buffered, buffered }];
				}),
			);
		return new Promise((resolve) => {
			this.#drained = resolve;
			this.#graceEndsAt = performance.now() + this.#graceMs;
			this.#resume();
		});
	}

	get #graceMs(): number {
		return this.#owed ? GRACE_MS.counted : GRACE_MS.uncounted;
	}

	/** Reading goes on, after the end. */
	#resume(): void {
		this.#rearm();
		if (!this.#drained || this.#paused) return;
		const now = performance.now();
		for (const socket of this.#open) this.#lookedAt.set(socket, now);
		if (!this.#owed) this.#graceEndsAt = now + this.#graceMs;
		this.#allow(Math.max(0, this.#graceEndsAt - now));
	}

	#allow(ms: number): void {
		clearTimeout(this.#grace);
		this.#grace = setTimeout(() => {
			setImmediate(() => {
				if (!this.#finishIfPaid() && !this.#paused) this.#allow(QUIET_MS);
			});
		}, ms);
	}

	#count(socket: Socket, bytes: number): void {
		if (!this.#drained) return;
		this.#lookedAt.set(socket, performance.now());
		const owed = this.#owed?.get(socket);
		if (owed) {
			// A read that was given less than it asked for has emptied the pipe.
			if (owed.buffered <= 0 && bytes < READ_BYTES) owed.bytes = 0;
			owed.bytes -= bytes;
			owed.buffered -= bytes;
		}
		if (performance.now() > this.#graceEndsAt) this.#finishIfPaid();
	}

	#finishIfPaid(): boolean {
		const quietSince = performance.now() - QUIET_MS;
		const isPaid = [...this.#open].every((socket) => {
			const owed = this.#owed?.get(socket)?.bytes ?? 0;
			return owed <= 0 || (!this.#paused && (this.#lookedAt.get(socket) ?? 0) < quietSince);
		});
		if (isPaid && this.#drained) this.#finish();
		return isPaid;
	}

	#deliver(channel: Channel, bytes: Buffer): void {
		for (let at = 0; at < bytes.length; at += CHUNK_BYTES[channel]) {
			const chunk = { channel, bytes: bytes.subarray(at, at + CHUNK_BYTES[channel]) };
			for (const subscription of this.#subscribers) subscription.push(chunk, chunk.bytes.length);
		}
		this.regulate();
		if (!this.#drained) return;
		this.#leftoverBytes += bytes.length;
		if (!this.#owed && this.#leftoverBytes > LEFTOVER_BYTES) this.#finish();
		else this.#rearm();
	}

	#rearm(): void {
		this.#disarm();
		if (!this.#drained || this.#paused) return;
		this.#quiet = setTimeout(() => {
			// On a busy machine this process may have slept through it: silent is what was looked at and had nothing to read.
			this.#silent = setImmediate(() => this.#finish());
		}, QUIET_MS);
	}

	#disarm(): void {
		clearTimeout(this.#quiet);
		clearImmediate(this.#silent);
	}

	#finish(): void {
		this.#disarm();
		clearTimeout(this.#grace);
		for (const subscription of this.#subscribers) subscription.end();
		this.#subscribers.clear();
		for (const { transcript } of this.#sources) transcript.close();
		this.regulate();
		this.#drained?.();
		this.#drained = undefined;
	}
}
