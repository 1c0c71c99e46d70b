import { createHash } from "node:crypto";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type PlatformPaths, REPOSITORY } from "./paths.ts";

/** The processes whose system calls are filtered. */
export const FILTERED = ["server", "postgres"] as const;
export type Filtered = (typeof FILTERED)[number];

export const FILTER_SOURCES = join(REPOSITORY, "packages/cli/native");

/** The library that confines such a process from inside; named for what it is made of. */
export function filterPath(paths: PlatformPaths, name: Filtered): string {
	const hash = createHash("sha256");
	for (const file of globSync("*.[ch]", { cwd: FILTER_SOURCES }).sort()) {
		hash.update(`${file}\0`).update(readFileSync(join(FILTER_SOURCES, file)));
	}
	return join(paths.bin, `filter-${name}-${hash.digest("hex").slice(0, 16)}.so`);
}

/** How the kernel filters a process's system calls: 0 not at all, 2 with a filter. */
export function seccompMode(status: string): number {
	return Number(/^Seccomp:\s*(\d+)$/m.exec(status)?.[1] ?? 0);
}
