import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { command } from "./command.ts";

const SOURCE = join(import.meta.dirname, "../native/host.c");

/** The engine's C helper, compiled on this machine once for each version of its source. Resolves to its path. */
export async function buildNative(data: string): Promise<string> {
	const id = createHash("sha256")
		.update(await readFile(SOURCE))
		.digest("hex")
		.slice(0, 16);
	const dir = join(data, "bin");
	const path = join(dir, `host-${id}`);
	if (existsSync(path)) return path;
	await mkdir(dir, { recursive: true, mode: 0o755 });
	await command("cc", ["-O2", "-static", "-Wall", "-o", `${path}.partial`, SOURCE]);
	await rename(`${path}.partial`, path);
	return path;
}
