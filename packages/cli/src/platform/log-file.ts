import { copyFileSync, openSync, statSync, truncateSync } from "node:fs";

const LIMIT_BYTES = 16 * 1024 * 1024;

/** Opens a log for a child to write to. It outlives us, so it writes to the file itself. */
export function openLog(path: string): number {
	return openSync(path, "a", 0o640);
}

/**
 * Keeps one older part when a log has grown too long. The writer keeps its descriptor: the file is emptied
 * in place, which is sound because it is open for appending.
 */
export function boundLog(path: string, limitBytes = LIMIT_BYTES): void {
	if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) <= limitBytes) return;
	copyFileSync(path, `${path}.1`);
	truncateSync(path);
}
