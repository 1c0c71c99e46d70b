import { closeSync, fstatSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";

/** A file of a memory image as it was written: a checksum for each MiB, so that none is spread thin. */
export type FileSum = { name: string; bytes: number; crc32: number[] };

const CHUNK = 1 << 20;

/**
 * Checksums of the files in a directory, in the order of their names. CRC-32 reads two to three gigabytes a second, three
 * times what SHA-256 does, and what it guards against is damage: nobody who could plant a file here would need to.
 */
export function sumFiles(dir: string, holes: Holes = {}): FileSum[] {
	return readdirSync(dir)
		.toSorted()
		.map((name) => ({ name, ...sumFile(join(dir, name), holes[name] ?? []) }));
}

/** For each file, the runs of it that no data was ever written to: they read as zeroes. Ascending, in bytes. */
export type Holes = Readonly<Record<string, readonly { from: number; to: number }[]>>;

const ZEROES = crc32(Buffer.alloc(CHUNK));

function sumFile(path: string, holes: readonly { from: number; to: number }[]): Omit<FileSum, "name"> {
	const buffer = Buffer.allocUnsafe(CHUNK);
	const file = openSync(path, "r");
	let hole = 0;
	try {
		const { size } = fstatSync(file);
		const sums: number[] = [];
		for (let at = 0; at < size; ) {
			while ((holes[hole]?.to ?? Number.POSITIVE_INFINITY) <= at) hole++;
			const { from, to } = holes[hole] ?? { from: Number.POSITIVE_INFINITY, to: 0 };
			if (from <= at && at + CHUNK <= to) {
				sums.push(ZEROES);
				at += CHUNK;
				continue;
			}
			const read = readSync(file, buffer, 0, CHUNK, at);
			if (read === 0) break;
			sums.push(crc32(buffer.subarray(0, read)));
			at += read;
		}
		return { bytes: size, crc32: sums };
	} finally {
		closeSync(file);
	}
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
