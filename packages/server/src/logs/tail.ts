import { open } from "node:fs/promises";

/** As much of a sandbox's log as is ever read at once. */
const MAX_BYTES = 1 << 20;

/** The last whole lines of a file, oldest first; none when there is no such file. */
export async function tailLines(path: string, maxBytes = MAX_BYTES): Promise<string[]> {
	const file = await open(path, "r").catch((error: NodeJS.ErrnoException) => {
		if (error.code === "ENOENT") return undefined;
		throw error;
	});
	if (file === undefined) return [];
	try {
		const { size } = await file.stat();
		const length = Math.min(size, maxBytes);
		const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length);
		const lines = buffer.subarray(0, bytesRead).toString("utf8").split("\n");
		// The first one was probably cut, and what follows the last newline is not written to its end yet.
		return lines.slice(length < size ? 1 : 0, -1);
	} finally {
		await file.close();
	}
}
