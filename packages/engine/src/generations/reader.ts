import { closeSync, openSync, readSync } from "node:fs";

/** What a checksum is made of: a MiB of a file. */
export const CHUNK = 1 << 20;

/** Reads a file in pieces of up to a MiB, where a thread may wait for it. */
export class Reader implements Disposable {
	readonly #path: string;
	readonly #file: number;
	readonly #buffer = Buffer.allocUnsafe(CHUNK);

	constructor(path: string) {
		this.#path = path;
		this.#file = openSync(path, "r");
	}

	/** So many bytes, which are good until the next call. Throws when the file has fewer. */
	read(at: number, length: number): Buffer {
		const piece = this.#buffer.subarray(0, length);
		for (let read = 0; read < length; ) {
			const got = readSync(this.#file, piece, read, length - read, at + read);
			if (got === 0) throw new Error(`${this.#path} ends before byte ${at + length}`);
			read += got;
		}
		return piece;
	}

	[Symbol.dispose](): void {
		closeSync(this.#file);
	}
}
