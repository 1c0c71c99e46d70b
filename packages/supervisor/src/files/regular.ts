import { constants, type Stats } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { DormiceError } from "@dormice/protocol";
import { errnoCode, filing } from "../errno.ts";

/** Neither a FIFO without a writer nor a device without a carrier may keep a thread waiting, or become our terminal. */
const UNBLOCKED = constants.O_NONBLOCK | constants.O_NOCTTY;

/** The kernel's own files (`/proc/meminfo`) say that they are empty and are not; more than this none of use has. */
const LARGEST_UNSIZED_BYTES = 8 * 1024 * 1024;

const PIECE_BYTES = 256 * 1024;

export interface RegularFile extends AsyncDisposable {
	readonly file: FileHandle;
	/** Of the open file, whatever has become of its path. */
	readonly info: Stats;
}

/** Throws `invalid_argument` for what is no regular file: a directory, FIFO, socket or device. */
export function requireRegular(path: string, info: Stats): void {
	if (info.isFile()) return;
	const kind = info.isDirectory()
		? "a directory"
		: info.isFIFO()
			? "a FIFO"
			: info.isSocket()
				? "a socket"
				: "a device";
	throw new DormiceError("invalid_argument", `path '${path}' is ${kind}, not a regular file`);
}

/** Opens a regular file, and nothing else, without ever waiting for anybody. */
export async function openRegular(path: string, access: "read" | "write" = "read"): Promise<RegularFile> {
	const doing = `${access === "read" ? "reading" : "writing"} '${path}'`;
	// To open some devices is to do something, so they are told by their path already; what was opened is what counts.
	requireRegular(path, await filing(doing, stat(path)));
	const file = await filing(doing, open(path, (access === "read" ? constants.O_RDONLY : constants.O_RDWR) | UNBLOCKED));
	try {
		const info = await filing(doing, file.stat());
		requireRegular(path, info);
		return { file, info, [Symbol.asyncDispose]: () => file.close() };
	} catch (error) {
		await file.close();
		throw error;
	}
}

/**
 * All that a small file really holds; undefined for one that says it is larger than `PIECE_BYTES`. The kernel's own files
 * have a size that says nothing: 0, or a page. Throws `invalid_argument` for one that cannot be read from its beginning to
 * its end: `/proc/self/mem`.
 */
export async function readSmall(path: string, { file, info }: RegularFile): Promise<Buffer | undefined> {
	if (info.size > PIECE_BYTES) return undefined;
	const most = info.size || LARGEST_UNSIZED_BYTES;
	const pieces: Buffer[] = [];
	for (let length = 0; ; ) {
		// One more byte than a sized file has is not looked for: it may grow meanwhile.
		const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, info.size ? most - length : PIECE_BYTES));
		const { bytesRead } = await reading(path, info, file.read(piece, 0, piece.length, null));
		length += bytesRead;
		if (length > most) throw unreadable(path, `it has no size and more than ${most >> 20} MiB of content`);
		pieces.push(piece.subarray(0, bytesRead));
		if (bytesRead === 0 || length === info.size) return Buffer.concat(pieces);
	}
}

/** The bytes of an open file from `start` to `end`. Throws when there are fewer, so that what was promised is not less. */
export async function* readPart(
	path: string,
	{ file, info }: RegularFile,
	{ start, end }: { start: number; end: number },
): AsyncGenerator<Buffer> {
	for (let at = start; at <= end; ) {
		const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, end - at + 1));
		const { bytesRead } = await reading(path, info, file.read(piece, 0, piece.length, at));
		if (bytesRead === 0) throw new DormiceError("state_conflict", `'${path}' became shorter while it was read`);
		at += bytesRead;
		yield piece.subarray(0, bytesRead);
	}
}

/** A file without a size is the kernel's own, and what it answers a read with is a matter of what it is for. */
async function reading<T>(path: string, info: Stats, work: Promise<T>): Promise<T> {
	try {
		return await work;
	} catch (error) {
		if (info.size > 0) return filing(`reading '${path}'`, Promise.reject(error));
		throw unreadable(path, `${errnoCode(error) ?? error}`, error);
	}
}

function unreadable(path: string, why: string, cause?: unknown): DormiceError {
	return new DormiceError("invalid_argument", `path '${path}' cannot be read as a file: ${why}`, { cause });
}
