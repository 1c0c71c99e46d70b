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

/**
 * The checksums of a copy, by MiB, of which only those pages are read that were written. CRC-32 is linear: how two MiBs'
 * checksums differ follows from the pages in which they do. What is damaged in the rest of the copy, or in the pages of the
 * original that are read, makes for a checksum that fits neither. Throws when the original cannot be read.
 */
export function sumCopy(path: string, { from, crc32: sums, written }: Copied): number[] {
	using copy = new Reader(path);
	using original = new Reader(from);
	return sums.map((sum, i) => {
		const pages = Array.from({ length: PAGES }, (_, page) => isSet(written, i * PAGES + page));
		return pages.includes(true) ? (sum ^ difference(pages, i * CHUNK, copy, original)) >>> 0 : sum;
	});
}

/** What to xor to the checksum of the original's MiB at this offset for that of the copy's. */
function difference(pages: readonly boolean[], at: number, copy: Reader, original: Reader): number {
	let [ours, theirs] = [0, 0];
	for (let page = 0; page < pages.length; ) {
		const from = page;
		while (page < pages.length && pages[page] === pages[from]) page++;
		if (pages[from]) {
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
	let now = register;
	for (let i = 0; i < pages; i++)
		now = AFTER_PAGE.reduce((sum, table, byte) => sum ^ Number(table[(now >>> (byte * 8)) & 255]), 0);
	return now >>> 0;
}

/** For each byte of a register and each value of it: the register after a page of zeroes. */
const AFTER_PAGE = [0, 8, 16, 24].map((shift) =>
	Uint32Array.from({ length: 256 }, (_, value) => fed((value << shift) >>> 0, Buffer.alloc(PAGE))),
);

function isSet(bits: Uint8Array, at: number): boolean {
	// Of what nothing is known, anything may have been written.
	return (((bits[at >> 3] ?? 0xff) >> (at & 7)) & 1) === 1;
}
