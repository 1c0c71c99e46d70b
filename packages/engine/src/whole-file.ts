import { rename, writeFile } from "node:fs/promises";

/** Writes a file whole or not at all. */
export async function writeWhole(path: string, content: string): Promise<void> {
	const partial = `${path}.partial`;
	await writeFile(partial, content);
	await rename(partial, path);
}
