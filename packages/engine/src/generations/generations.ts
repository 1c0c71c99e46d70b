import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { DormiceError, isId, Steps, untilAborted } from "@dormice/protocol";
import { cpuFeatures } from "../cpu.ts";
import type { Pool } from "../disk/pool.ts";
import type { Process, Written } from "../driver.ts";
import { Faults } from "../faults.ts";
import type { Limits } from "../limits.ts";
import { bestEffort, log } from "../log.ts";
import { ofFullPool } from "../no-space.ts";
import { Summing } from "./summing.ts";
import { type FileSum, firstDamage, type Hint } from "./sums.ts";

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
	/** The memory image's files; missing in manifests of version 0.1.0, whose content cannot be verified. */
	files?: FileSum[];
	/** What the processor could do that it was made on. */
	cpuFeatures?: string[];
	/** What ran in it; missing in manifests of version 0.1.0. */
	processes?: Process[];
};

/** With less to leave out, reading it all is as quick. */
const SPARSE_FROM_BYTES = 4 << 20;

/** What is known of a generation before its files are looked at. */
export type Filled = Omit<Manifest, "memoryBytes" | "diskBytes" | "files" | "cpuFeatures">;

/** Which generation's memory the stored machine went on from, and what it wrote of it. */
export type Origin = { generationId: string | undefined; written: Written };

const NONE: Origin = { generationId: undefined, written: {} };

/**
 * Stored states: `generations/<id>/{disk,memory,manifest.json}` in the pool. One is written beside the others under another
 * name, and named when it is whole and durable; after that it never changes.
 */
export class Generations {
	readonly #pool: Pool;
	/** Manifests as they were when they were last listed. */
	#listed: ReadonlyMap<string, Manifest> = new Map();
	readonly #faults: Faults;
	readonly #summing = new Summing();
	/** Memory images that this process wrote or read whole, and how their files looked then to `stat`. */
	readonly #known = new Map<string, string>();

	constructor(pool: Pool, faults = new Faults(undefined)) {
		this.#pool = pool;
		this.#faults = faults;
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

	/**
	 * Writes a generation: `fill` puts `disk` and `memory` into the directory it is given, and says when the memory is there,
	 * and what it came of, for its checksums to be computed meanwhile. Undone whole when it throws, or is called off by the signal.
	 */
	async write(
		id: string,
		fill: (dir: string, memoryWritten: (origin?: Origin) => void) => Promise<Filled>,
		{ steps = new Steps({ verb: "write", generation: id }), signal }: { steps?: Steps; signal?: AbortSignal } = {},
	): Promise<Manifest> {
		const partial = `${this.dir(id)}.partial`;
		if (existsSync(this.dir(id))) throw new DormiceError("already_exists", `Generation ${id} exists already.`);
		await this.#remove(partial);
		try {
			await mkdir(join(partial, "memory"), { recursive: true, mode: 0o700 });
			const memory = join(partial, "memory");
			let summing: Promise<FileSum[]> | undefined;
			const filled = await fill(partial, (origin) => {
				summing = this.#sums(memory, origin);
				summing.catch(() => undefined);
			});
			void bestEffort(`write ${id} out`, this.#beginWriting(memory));
			const manifest: Manifest = {
				...filled,
				files: await steps.time("checksums", untilAborted(summing ?? this.#sums(memory), signal)),
				cpuFeatures: cpuFeatures(),
				memoryBytes: await bytesIn(memory),
				diskBytes: await allocatedIn(join(partial, "disk")),
			};
			this.#faults.at("generation.manifest");
			await writeFile(join(partial, "manifest.json"), withSum(JSON.stringify(manifest)));
			this.#faults.at("generation.name");
			await rename(partial, this.dir(id));
			this.#faults.at("generation.flush");
			this.#known.set(id, await looksOf(this.memory(id)));
			// One flush for all of it: until it returns nobody was told of this generation.
			await steps.time("flush", untilAborted(this.#pool.sync(), signal));
			return manifest;
		} catch (error) {
			const told = await ofFullPool(error, this.#pool);
			await this.#remove(partial);
			await this.#remove(this.dir(id));
			throw told;
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
		const manifest = readSummed<Manifest>(text);
		if (manifest !== undefined) return manifest;
		throw new DormiceError("generation_corrupt", `The manifest of generation ${id} is damaged.`);
	}

	/** The manifest, checked against what is there: before its memory is used. */
	async read(id: string): Promise<Manifest> {
		const manifest = await this.readManifest(id);
		const bytes = manifest.memory ? await bytesIn(this.memory(id)).catch(() => -1) : manifest.memoryBytes;
		if (bytes !== manifest.memoryBytes) throw damaged(id, "it is not the size it was written with");
		return manifest;
	}

	/**
	 * Resolves when the memory image is known to be what was written; throws `generation_corrupt` when it is not. Nothing of
	 * it may run before. Files that this process wrote or read whole, and that nobody touched since, are not read again:
	 * what happens to them below the file system is found by the pool's own checksums.
	 */
	async verify(manifest: Manifest): Promise<void> {
		const { generationId: id, files } = manifest;
		if (!manifest.memory || files === undefined) return;
		const looks = await looksOf(this.memory(id)).catch(() => "");
		if (looks !== "" && this.#known.get(id) === looks) return;
		this.#known.delete(id);
		const damage = firstDamage(files, await this.#sums(this.memory(id)));
		if (damage !== undefined) throw damaged(id, damage);
		this.#known.set(id, looks);
	}

	/** While the checksums are made. Not before the sandbox's disk is taken: that would wait for it. */
	async #beginWriting(dir: string): Promise<void> {
		for (const name of await readdir(dir)) await this.#pool.beginWriting(join(dir, name));
	}

	/** Of a guest's whole memory, most may never have been written, and most of the rest not since it was last stored. */
	async #sums(dir: string, { generationId: from, written }: Origin = NONE): Promise<FileSum[]> {
		// An original that is gone only spares no work.
		const original = from && (await this.readManifest(from).catch(() => undefined));
		const hints: Record<string, Hint> = {};
		for (const name of await readdir(dir)) {
			const path = join(dir, name);
			const { size, blocks } = await stat(path);
			const before = original ? original.files?.find((file) => file.name === name && file.bytes === size) : undefined;
			const pages = written[name];
			if (from && before && pages) {
				hints[name] = { copied: { from: join(this.memory(from), name), crc32: before.crc32, written: pages } };
			} else if (blocks * 512 < size - SPARSE_FROM_BYTES) {
				hints[name] = { holes: await this.#pool.holes(path) };
			}
		}
		return this.#summing.of(dir, hints);
	}

	/** Every whole generation. */
	async list(): Promise<Manifest[]> {
		const manifests = new Map<string, Manifest>();
		for (const name of await readdir(join(this.#pool.dir, "generations"))) {
			if (!isId("generation", name)) continue;
			try {
				// A manifest never changes: only those that are new are read.
				manifests.set(name, this.#listed.get(name) ?? (await this.readManifest(name)));
			} catch (error) {
				// One that is gone was deleted meanwhile.
				if (existsSync(this.dir(name))) log.error({ err: error, generation: name }, "a generation cannot be read");
			}
		}
		this.#listed = manifests;
		return [...manifests.values()];
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
		this.#known.delete(id);
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

function damaged(id: string, how: string): DormiceError {
	return new DormiceError(
		"generation_corrupt",
		`The memory image of generation ${id} is damaged: ${how}. Boot it from its disk.`,
	);
}

/** Changes with whatever changes a file: nobody but the kernel sets an inode's time of change. */
async function looksOf(dir: string): Promise<string> {
	const names = (await readdir(dir)).toSorted();
	const stats = await Promise.all(names.map((name) => stat(join(dir, name), { bigint: true })));
	return names
		.map((name, i) => `${name} ${stats[i]?.ino} ${stats[i]?.size} ${stats[i]?.mtimeNs} ${stats[i]?.ctimeNs}`)
		.join("\n");
}

/** A line of JSON, with its checksum on the next. */
function withSum(json: string): string {
	return `${json}\n${crc32(json)}\n`;
}

/** What `withSum` wrote, or plain JSON as version 0.1.0 did; undefined when it is damaged. */
function readSummed<T>(text: string): T | undefined {
	const [json = "", sum] = text.split("\n");
	if (sum !== undefined && sum !== String(crc32(json))) return undefined;
	try {
		return JSON.parse(json) as T;
	} catch {
		return undefined;
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
