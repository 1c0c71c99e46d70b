import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { CHUNK, Reader } from "./reader.ts";
import { type Copied, sumCopy } from "./sums-of-copy.ts";

/** A file of a memory image as it was written: a checksum for each MiB, so that none is spread thin. */
export type FileSum = { name: string; bytes: number; crc32: number[] };

/** What spares reading a file whole. */
export type Hint = { holes: readonly Hole[] } | { copied: Copied };

/** By the files' names. */
export type Hints = Readonly<Record<string, Hint>>;

/** A run of a file, in bytes, that no data was ever written to: it reads as zeroes. */
export type Hole = { from: number; to: number };

/**
 * Checksums of the files in a directory, in the order of their names. CRC-32 reads two to three gigabytes a second, three
 * times what SHA-256 does, and what it guards against is damage: nobody who could plant a file here would need to.
 */
export function sumFiles(dir: string, hints: Hints = {}): FileSum[] {
	return readdirSync(dir)
		.toSorted()
		.map((name) => ({ name, ...sumFile(join(dir, name), hints[name] ?? { holes: [] }) }));
}

function sumFile(path: string, hint: Hint): Omit<FileSum, "name"> {
	const bytes = statSync(path).size;
	if ("holes" in hint) return { bytes, crc32: sumWhole(path, bytes, hint.holes) };
	try {
		return { bytes, crc32: sumCopy(path, hint.copied) };
	} catch {
		// The original was deleted meanwhile.
		return { bytes, crc32: sumWhole(path, bytes, []) };
	}
}

const ZEROES = crc32(Buffer.alloc(CHUNK));

function sumWhole(path: string, bytes: number, holes: readonly Hole[]): number[] {
	const sums = Array.from({ length: Math.ceil(bytes / CHUNK) }, (): number | undefined => undefined);
	for (const { from, to } of holes) sums.fill(ZEROES, Math.ceil(from / CHUNK), Math.floor(to / CHUNK));
	using file = new Reader(path);
	return sums.map((sum, i) => sum ?? crc32(file.read(i * CHUNK, Math.min(CHUNK, bytes - i * CHUNK))));
}

/** The first file that is not what was written, and how; undefined when all are. Pure. */
export function firstDamage(written: readonly FileSum[], found: readonly FileSum[]): string | undefined {
	for (const { name, bytes, crc32: sums } of written) {
		const now = found.find((one) => one.name === name);
		if (now === undefined) return `${name} is missing`;
		if (now.bytes !== bytes) return `${name} has ${now.bytes} bytes of ${bytes}`;
		const at = sums.findIndex((sum, i) => now.crc32[i] !== sum);
		if (at >= 0) return `${name} differs within its MiB ${at}`;
	}
	return undefined;
}
