import { closeSync, fstatSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";

/** A file of a memory image as it was written: a checksum for each MiB, so that none is spread thin. */
export type FileSum = { name: string; bytes: number; crc32: number[] };

const CHUNK = 1 << 20;

/** For each file, the checksums that are known without reading it, by MiB. */
export type Known = Readonly<Record<string, readonly (number | undefined)[]>>;

/**
 * Checksums of the files in a directory, in the order of their names. CRC-32 reads two to three gigabytes a second, three
 * times what SHA-256 does, and what it guards against is damage: nobody who could plant a file here would need to.
 */
export function sumFiles(dir: string, known: Known = {}): FileSum[] {
	return readdirSync(dir)
		.toSorted()
		.map((name) => ({ name, ...sumFile(join(dir, name), known[name] ?? []) }));
}

function sumFile(path: string, known: readonly (number | undefined)[]): Omit<FileSum, "name"> {
	const buffer = Buffer.allocUnsafe(CHUNK);
	const file = openSync(path, "r");
	try {
		const { size } = fstatSync(file);
		const sums: number[] = [];
		for (let at = 0; at < size; at += CHUNK) sums.push(known[at / CHUNK] ?? sumChunk(at, Math.min(CHUNK, size - at)));
		return { bytes: size, crc32: sums };
	} finally {
		closeSync(file);
	}

	function sumChunk(at: number, length: number): number {
		let read = 0;
		while (read < length) {
			const got = readSync(file, buffer, read, length - read, at + read);
			if (got === 0) throw new Error(`${path} became shorter while it was read`);
			read += got;
		}
		return crc32(buffer.subarray(0, read));
	}
}

const ZEROES = crc32(Buffer.alloc(CHUNK));

/** The checksums of the MiBs that lie whole in holes: runs of a file, in bytes, that no data was ever written to. Pure. */
export function sumsOfHoles(holes: readonly { from: number; to: number }[]): (number | undefined)[] {
	const sums: (number | undefined)[] = [];
	for (const { from, to } of holes) {
		for (let i = Math.ceil(from / CHUNK); (i + 1) * CHUNK <= to; i++) sums[i] = ZEROES;
	}
	return sums;
}

/**
 * The checksums of a file that began as a copy of one with these `sums`, and of which the MiBs were `written` that are true
 * there. Of those it knows what `otherwise` does. Pure.
 */
export function sumsOfCopy(
	sums: readonly number[],
	written: readonly boolean[],
	otherwise: readonly (number | undefined)[],
): (number | undefined)[] {
	return sums.map((sum, i) => (written[i] === false ? sum : otherwise[i]));
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
