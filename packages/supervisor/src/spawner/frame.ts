/** The spawner's wire, described in `spawner/wire.h`. */
export const OP = {
	spawn: 1,
	opened: 2,
	signal: 3,
	resize: 4,
	sync: 5,
	hostname: 6,
	clock: 7,
	setXattr: 8,
	getXattrs: 9,
	closeStdin: 10,
	renounce: 11,
	release: 12,
	list: 13,
	reseed: 14,
	removeXattrs: 15,
	copyXattrs: 16,
} as const;

export const EVENT_EXITED = 1;
export const NO_FD = 0xffffffff;
export const UNKNOWN = 0xffffffff;
export const FLAGS = { pty: 1, stdin: 2 } as const;
export const STAGE = { setup: 1, identity: 2, cwd: 3, exec: 4 } as const;

/** What the spawner takes; it hangs up on more. */
export const LARGEST_FRAME_BYTES = 16 << 20;

/** Builds one frame. */
export class FrameWriter {
	readonly #parts: Buffer[] = [];

	u32(value: number): this {
		const part = Buffer.allocUnsafe(4);
		part.writeUInt32LE(value >>> 0);
		this.#parts.push(part);
		return this;
	}

	string(value: string): this {
		const bytes = Buffer.from(value);
		this.u32(bytes.length);
		this.#parts.push(bytes, Buffer.alloc(1));
		return this;
	}

	list(values: readonly string[]): this {
		this.u32(values.length);
		for (const value of values) this.string(value);
		return this;
	}

	finish(): Buffer {
		const length = this.#parts.reduce((sum, part) => sum + part.length, 0);
		const head = Buffer.allocUnsafe(4);
		head.writeUInt32LE(length);
		return Buffer.concat([head, ...this.#parts]);
	}
}

/** Reads one frame. The spawner is our own, so a short frame is a bug: Buffer throws. */
export class FrameReader {
	readonly #bytes: Buffer;
	#at = 0;

	constructor(bytes: Buffer) {
		this.#bytes = bytes;
	}

	get empty(): boolean {
		return this.#at >= this.#bytes.length;
	}

	u32(): number {
		const value = this.#bytes.readUInt32LE(this.#at);
		this.#at += 4;
		return value;
	}

	string(): string {
		const length = this.u32();
		const value = this.#bytes.toString("utf8", this.#at, this.#at + length);
		this.#at += length + 1;
		return value;
	}
}

/** Cuts a byte stream into frames. */
export class FrameSplitter {
	#rest: Buffer = Buffer.alloc(0);

	*push(chunk: Buffer): Generator<FrameReader> {
		this.#rest = this.#rest.length ? Buffer.concat([this.#rest, chunk]) : chunk;
		while (this.#rest.length >= 4) {
			const end = 4 + this.#rest.readUInt32LE(0);
			if (this.#rest.length < end) return;
			const frame = this.#rest.subarray(4, end);
			this.#rest = this.#rest.subarray(end);
			yield new FrameReader(frame);
		}
	}
}
