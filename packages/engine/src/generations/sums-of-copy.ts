import { crc32 } from "node:zlib";
import { CHUNK, Reader } from "./reader.ts";

/** A file that began as a copy of one whose checksums are known. */
export type Copied = {
	/** The file it was copied from. */
	from: string;
	/** That one's checksums, by MiB. */
	crc32: readonly number[];
	/** A bit for each page of 4 KiB, the lowest of each byte first: whether the copy may have other bytes there. */
	written: Uint8Array;
};

const PAGE = 4096;
const PAGES = CHUNK / PAGE;
/** Of the bits for a MiB. */
const BYTES = PAGES / 8;

/**
 * The checksums of a copy, by MiB, of which only those pages are read that were written. CRC-32 is linear: how two MiBs'
 * checksums differ follows from the pages in which they do. What is damaged in the rest of the copy, or in the pages of the
 * original that are read, makes for a checksum that fits neither. Throws when the original cannot be read.
 */
export function sumCopy(path: string, { from, crc32: sums, written }: Copied): number[] {
	using copy = new Reader(path);
	using original = new Reader(from);
	return sums.map((sum, i) => {
		const bits = written.subarray(i * BYTES, (i + 1) * BYTES);
		const isKnown = bits.length === BYTES;
		if (isKnown && bits.every((byte) => byte === 0)) return sum;
		if (isKnown && bits.every((byte) => byte === 0xff)) return crc32(copy.read(i * CHUNK, CHUNK));
		return (sum ^ difference(bits, i * CHUNK, copy, original)) >>> 0;
	});
}

/** What to xor to the checksum of the original's MiB at this offset for that of the copy's. */
function difference(bits: Uint8Array, at: number, copy: Reader, original: Reader): number {
	let [ours, theirs] = [0, 0];
	for (let page = 0; page < PAGES; ) {
		const from = page;
		const wasWritten = isSet(bits, from);
		while (page < PAGES && isSet(bits, page) === wasWritten) page++;
		if (wasWritten) {
			ours = fed(ours, copy.read(at + from * PAGE, (page - from) * PAGE));
			theirs = fed(theirs, original.read(at + from * PAGE, (page - from) * PAGE));
		} else if (ours !== theirs) {
			// What is the same in both, zeroes as well as anything else, leaves their difference, moved on.
			[ours, theirs] = [movedOn((ours ^ theirs) >>> 0, page - from), 0];
		}
	}
	return (ours ^ theirs) >>> 0;
}

/** The register of the CRC after these bytes, without the inversions that zlib makes before and after. */
function fed(register: number, bytes: Buffer): number {
	return ~crc32(bytes, ~register >>> 0) >>> 0;
}

/** The register after so many pages of zeroes. Linear too: a look into a table for each of its bytes. */
function movedOn(register: number, pages: number): number {
	const [first, second, third, fourth] = AFTER_PAGE;
	let now = register;
	for (let i = 0; i < pages; i++) {
		const low = (first[now & 255] ?? 0) ^ (second[(now >>> 8) & 255] ?? 0);
		now = low ^ (third[(now >>> 16) & 255] ?? 0) ^ (fourth[now >>> 24] ?? 0);
	}
	return now >>> 0;
}

/** For each byte of a register, the lowest first, and each value of it: the register after a page of zeroes. */
const AFTER_PAGE = [afterPage(0), afterPage(8), afterPage(16), afterPage(24)] as const;

function afterPage(shift: number): Uint32Array {
	return Uint32Array.from({ length: 256 }, (_, value) => fed((value << shift) >>> 0, Buffer.alloc(PAGE)));
}

function isSet(bits: Uint8Array, at: number): boolean {
	// Of what nothing is known, anything may have been written.
	return (((bits[at >> 3] ?? 0xff) >> (at & 7)) & 1) === 1;
}
