import { constants } from "node:fs";

/** Go's letters for what a file is and its special bits, in Go's order; a plain file has `-` instead. */
const LETTERS: readonly (readonly [string, (mode: number) => boolean])[] = [
	["d", (mode) => kind(mode) === constants.S_IFDIR],
	["L", (mode) => kind(mode) === constants.S_IFLNK],
	["D", (mode) => kind(mode) === constants.S_IFBLK || kind(mode) === constants.S_IFCHR],
	["p", (mode) => kind(mode) === constants.S_IFIFO],
	["S", (mode) => kind(mode) === constants.S_IFSOCK],
	["u", (mode) => (mode & 0o4000) !== 0],
	["g", (mode) => (mode & 0o2000) !== 0],
	["c", (mode) => kind(mode) === constants.S_IFCHR],
	["t", (mode) => (mode & 0o1000) !== 0],
];

/** A mode the way Go prints it (`-rw-r--r--`, `drwxr-xr-x`, `Lrwxrwxrwx`), which is what clients expect. */
export function permissionString(mode: number): string {
	const letters = LETTERS.filter(([, applies]) => applies(mode)).map(([letter]) => letter);
	const bits = [..."rwxrwxrwx"].map((letter, i) => (mode & (1 << (8 - i)) ? letter : "-"));
	return (letters.join("") || "-") + bits.join("");
}

function kind(mode: number): number {
	return mode & constants.S_IFMT;
}
