import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** What other users of the host may read of a platform: how it listens, and the process ids of what runs. */
const FOR_ALL = new Set(["config.json", "keeper.json", "engine.json", "server.json", "postgres.json"]);

/** The folders of a pool. */
export const POOL_FOLDERS = ["rootfs", "sandboxes", "trash", "generations", "blank", "images"] as const;

/** Where a platform's things are. `pool`: a file system of the user's own that they share. */
export type Places = { data: string; run: string; pool?: string | undefined };

/** Something that more users of the host may use than should, and the mode that ends it. */
export type Exposed = { path: string; mode: number; closedMode: number };

/**
 * What of a platform other users of the host could open. Its two directories may be passed by who knows a name in them, and
 * what is in them is closed but for a few files that hold no secret. The group counts where it is root's: any other
 * was given on purpose.
 */
export function exposed({ data, run, pool }: Places): Exposed[] {
	const found: Exposed[] = [];
	for (const dir of [data, run]) {
		found.push(...compare(dir, 0o711));
		for (const name of namesIn(dir)) found.push(...compare(join(dir, name), FOR_ALL.has(name) ? 0o644 : undefined));
	}
	if (pool !== undefined) for (const name of [...POOL_FOLDERS, "id"]) found.push(...compare(join(pool, name)));
	return found;
}

function compare(path: string, mostMode?: number): Exposed[] {
	const info = lstatSync(path, { throwIfNoEntry: false });
	// A link says nothing of what it leads to.
	if (info === undefined || info.isSymbolicLink()) return [];
	const mode = info.mode & 0o7777;
	const closedMode = mode & (mostMode ?? (info.gid === 0 ? 0o7700 : 0o7770));
	return closedMode === mode ? [] : [{ path, mode, closedMode }];
}

function namesIn(dir: string): string[] {
	return lstatSync(dir, { throwIfNoEntry: false })?.isDirectory() ? readdirSync(dir) : [];
}
