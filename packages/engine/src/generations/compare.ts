import { type BigIntStats, lstatSync, readdirSync } from "node:fs";

/** A file system as it was: the layer that holds what a sandbox changed, and that layer merged over its root file system. */
export type Side = { upper: string; merged: string };

export type FileChange = {
	/** Absolute inside the sandbox. */
	path: string;
	change: "added" | "changed" | "removed";
	type: "file" | "directory" | "symlink" | "other";
	bytesBefore: number;
	bytesAfter: number;
};

export type Comparison = { files: FileChange[]; truncated: boolean };

/** Whoever made these files may have made any number of them, at any depth. */
export const BOUNDS = { files: 10_000, looked: 500_000, pathBytes: 3_000 };

/**
 * What differs between two states of one disk over one root file system. Only directories that either state changed are
 * read, and no file is opened: a file is the same that has the same inode, changed at the same time, since nobody inside
 * can set that time. No symbolic link is followed, for only what is a directory itself is descended into.
 */
export function compare(before: Side, after: Side, bounds = BOUNDS): Comparison {
	const files: FileChange[] = [];
	let looked = 0;
	let truncated = false;
	const open: Buffer[] = [Buffer.alloc(0)];

	const record = (
		path: Buffer,
		change: FileChange["change"],
		a: BigIntStats | undefined,
		b: BigIntStats | undefined,
	) => {
		const stats = b ?? a;
		if (stats === undefined) return;
		const size = (of: BigIntStats | undefined) => (of?.isFile() ? Number(of.size) : 0);
		files.push({ path: path.toString(), change, type: typeOf(stats), bytesBefore: size(a), bytesAfter: size(b) });
	};

	for (let dir = open.pop(); dir !== undefined; dir = open.pop()) {
		if (files.length >= bounds.files || looked >= bounds.looked) return { files, truncated: true };
		const [upperA, upperB] = [list(before.upper, dir), list(after.upper, dir)];
		const [mergedA, mergedB] = [list(before.merged, dir), list(after.merged, dir)];
		for (const [key, name] of new Map([...mergedA, ...mergedB]).entries()) {
			looked++;
			const inBoth = mergedA.has(key) && mergedB.has(key);
			// It comes from the root file system on both sides.
			if (inBoth && !upperA.has(key) && !upperB.has(key)) continue;
			const path = Buffer.concat([dir, SLASH, name]);
			if (path.length > bounds.pathBytes) {
				truncated = true;
				continue;
			}
			const a = mergedA.has(key) ? look(before.merged, path) : undefined;
			const b = mergedB.has(key) ? look(after.merged, path) : undefined;
			if (a === undefined || b === undefined) record(path, a === undefined ? "added" : "removed", a, b);
			else if (typeOf(a) !== typeOf(b) || !isSame(before, after, path, a, b)) record(path, "changed", a, b);
			if (a?.isDirectory() || b?.isDirectory()) open.push(path);
			if (files.length >= bounds.files) return { files, truncated: true };
		}
	}
	return { files, truncated };
}

const SLASH = Buffer.from("/");

/** Names in a directory by their bytes; none of what is no directory there. */
function list(root: string, dir: Buffer): Map<string, Buffer> {
	const path = at(root, dir);
	// Asked first: a link to a directory is not one.
	if (look(root, dir)?.isDirectory() !== true) return new Map();
	return new Map(readdirSync(path, { encoding: "buffer" }).map((name) => [name.toString("latin1"), name]));
}

function look(root: string, path: Buffer): BigIntStats | undefined {
	return lstatSync(at(root, path), { bigint: true, throwIfNoEntry: false });
}

function at(root: string, path: Buffer): Buffer {
	return Buffer.concat([Buffer.from(root), path]);
}

function isSame(before: Side, after: Side, path: Buffer, a: BigIntStats, b: BigIntStats): boolean {
	if (a.mode !== b.mode || a.uid !== b.uid || a.gid !== b.gid || a.rdev !== b.rdev) return false;
	// A directory changes with what is in it, which is told for itself.
	if (a.isDirectory()) return true;
	const [mine, other] = [look(before.upper, path), look(after.upper, path)];
	if (mine !== undefined && other !== undefined) return mine.ino === other.ino && mine.ctimeNs === other.ctimeNs;
	// Copied up from the root file system without a change to it.
	return a.size === b.size && a.mtimeNs === b.mtimeNs;
}

function typeOf(stats: BigIntStats): FileChange["type"] {
	if (stats.isFile()) return "file";
	if (stats.isDirectory()) return "directory";
	return stats.isSymbolicLink() ? "symlink" : "other";
}
