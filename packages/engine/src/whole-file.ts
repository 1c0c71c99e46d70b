import { rename, writeFile } from "node:fs/promises";

/** Writes a file whole or not at all, for root alone. */
export async function writeWhole(path: string, content: string): Promise<void> {
	const partial = `${path}.partial`;
	await writeFile(partial, content, { mode: 0o600 });
	await rename(partial, path);
}
