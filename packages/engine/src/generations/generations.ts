import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DormiceError, isId } from "@dormice/protocol";
import type { Pool } from "../disk/pool.ts";
import type { Process } from "../driver.ts";
import type { Limits } from "../limits.ts";
import { log } from "../log.ts";

/** What a stored state is and what can read it. */
export type Manifest = {
	generationId: string;
	parentId: string;
	rootfsId: string;
	memory: boolean;
	isolation: "gvisor" | "microvm";
	engineVersion: string;
	guestId: string;
	bootId: string;
	memoryBytes: number;
	/** What the disk takes in the pool, shared or not; missing in manifests of version 0.1.0. */
	diskBytes?: number;
	createdAt: string;
	reason: string;
	limits: Limits;
	/** What ran in it; missing in manifests of version 0.1.0. */
	processes?: Process[];
};

/**
 * Stored states: `generations/<id>/{disk,memory,manifest.json}` in the pool. One is written beside the others under another
 * name, and named when it is whole and durable; after that it never changes.
 */
export class Generations {
	readonly #pool: Pool;

	constructor(pool: Pool) {
		this.#pool = pool;
	}

	dir(id: string): string {
		return join(this.#pool.dir, "generations", id);
	}

	disk(id: string): string {
		return join(this.dir(id), "disk");
	}

	memory(id: string): string {
		return join(this.dir(id), "memory");
	}

	/** Writes a generation: `fill` puts `disk` and `memory` into the directory it is given. Undone whole when it throws. */
	async write(
		id: string,
		fill: (dir: string) => Promise<Omit<Manifest, "memoryBytes" | "diskBytes">>,
	): Promise<Manifest> {
		const partial = `${this.dir(id)}.partial`;
		if (existsSync(this.dir(id))) throw new DormiceError("already_exists", `Generation ${id} exists already.`);
		await this.#remove(partial);
		try {
			await mkdir(join(partial, "memory"), { recursive: true, mode: 0o700 });
			const manifest: Manifest = {
				...(await fill(partial)),
				memoryBytes: await bytesIn(join(partial, "memory")),
				diskBytes: await allocatedIn(join(partial, "disk")),
			};
			await writeFile(join(partial, "manifest.json"), JSON.stringify(manifest));
			await rename(partial, this.dir(id));
			// One flush for all of it: until it returns nobody was told of this generation.
			await this.#pool.sync();
			return manifest;
		} catch (error) {
			await this.#remove(partial);
			await this.#remove(this.dir(id));
			throw error;
		}
	}

	/** What it says of itself. Enough to boot from its disk. */
	async readManifest(id: string): Promise<Manifest> {
		let text: string;
		try {
			text = await readFile(join(this.dir(id), "manifest.json"), "utf8");
		} catch (error) {
			throw new DormiceError("generation_not_found", `Generation ${id} is not on this host.`, { cause: error });
		}
		return JSON.parse(text) as Manifest;
	}

	/** The manifest, checked against what is there: before its memory is used. */
	async read(id: string): Promise<Manifest> {
		const manifest = await this.readManifest(id);
		if (manifest.memory && (await bytesIn(this.memory(id))) !== manifest.memoryBytes) {
			throw new DormiceError(
				"generation_corrupt",
				`The memory image of generation ${id} is not the size it was written with. Boot it from its disk.`,
			);
		}
		return manifest;
	}

	/** Every whole generation. */
	async list(): Promise<Manifest[]> {
		const manifests: Manifest[] = [];
		for (const name of await readdir(join(this.#pool.dir, "generations"))) {
			if (!isId("generation", name)) continue;
			try {
				manifests.push(await this.readManifest(name));
			} catch (error) {
				// One that is gone was deleted meanwhile.
				if (existsSync(this.dir(name))) log.error({ err: error, generation: name }, "a generation cannot be read");
			}
		}
		return manifests;
	}

	/** Removes what was being written when the engine died. Only right while nothing is being written. */
	async removePartials(): Promise<void> {
		for (const name of await readdir(join(this.#pool.dir, "generations"))) {
			if (name.endsWith(".partial")) await this.#remove(join(this.#pool.dir, "generations", name));
		}
	}

	/** Removes a directory of passing work: its name must end in `.partial`. */
	async removePartial(dir: string): Promise<void> {
		if (dir.endsWith(".partial")) await this.#remove(dir);
	}

	async delete(id: string): Promise<void> {
		if (!existsSync(this.dir(id))) return;
		// Renamed first, so that a crash in the middle leaves nothing that looks whole.
		const doomed = `${this.dir(id)}.partial`;
		await this.#remove(doomed);
		await rename(this.dir(id), doomed);
		await this.#remove(doomed);
	}

	async #remove(dir: string): Promise<void> {
		await this.#pool.deleteSubvolume(join(dir, "disk"));
		await rm(dir, { recursive: true, force: true });
	}
}

async function bytesIn(dir: string): Promise<number> {
	let bytes = 0;
	for (const name of await readdir(dir)) bytes += (await stat(join(dir, name))).size;
	return bytes;
}

/** What files take on the disk: sparse ones take less than their size. */
async function allocatedIn(dir: string): Promise<number> {
	if (!existsSync(dir)) return 0;
	let bytes = 0;
	for (const name of await readdir(dir)) bytes += (await stat(join(dir, name))).blocks * 512;
	return bytes;
}
