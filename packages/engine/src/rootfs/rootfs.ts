import { existsSync } from "node:fs";
import { readdir, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { DormiceError, isId } from "@dormice/protocol";
import type { Pool } from "../disk/pool.ts";
import { baseRecipe } from "./base.ts";

/** How to make a root file system: `id` changes when the recipe does, so an old one is never mistaken for it. */
export type Recipe = { id: string; build: (dir: string, progress: (line: string) => void) => Promise<void> };

/** Root file systems, read-only subvolumes of the pool: what templates start from. */
export class RootfsStore {
	readonly #pool: Pool;

	constructor(pool: Pool) {
		this.#pool = pool;
	}

	path(id: string): string {
		// An empty id is asked about by whoever only takes down mounts.
		if (id !== "" && !isId("rootfs", id))
			throw new DormiceError("invalid_argument", `${id} is no root file system's id.`);
		return join(this.#pool.dir, "rootfs", id);
	}

	/** All of them, the newest last. */
	async list(): Promise<{ id: string; name: string }[]> {
		const names = await readdir(join(this.#pool.dir, "rootfs"));
		const ids = names.filter((id) => isId("rootfs", id));
		const made = await Promise.all(ids.map(async (id) => ({ id, at: (await stat(this.path(id))).birthtimeMs })));
		return made.toSorted((a, b) => a.at - b.at).map(({ id }) => ({ id, name: id.slice(0, id.lastIndexOf("-")) }));
	}

	/** Makes the named root file system unless it is there; resolves to its id. Interrupted, the next call begins anew. */
	async build(name: string, progress: (line: string) => void): Promise<string> {
		if (name !== "base")
			throw new DormiceError("rootfs_not_found", `There is no recipe for a root file system ${name}. Known: base.`);
		const recipe = await baseRecipe();
		const target = this.path(recipe.id);
		if (existsSync(target)) return recipe.id;
		const partial = `${target}.partial`;
		await this.#pool.deleteSubvolume(partial);
		await this.#pool.createSubvolume(partial);
		try {
			await recipe.build(partial, progress);
			await this.#pool.seal(partial);
			await rename(partial, target);
			await this.#pool.sync();
		} catch (error) {
			await this.#pool.deleteSubvolume(partial);
			throw error;
		}
		return recipe.id;
	}
}
