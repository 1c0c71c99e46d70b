import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, truncate, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { newId } from "@dormice/protocol";
import type { Pool } from "../disk/pool.ts";
import { type Filled, Generations } from "./generations.ts";
import { sumFiles } from "./sums.ts";

const root = await mkdtemp(join(tmpdir(), "dormice-generations-"));
after(() => rm(root, { recursive: true }));

/** A pool of plain directories: what is tested here is when a generation gets its name. */
async function plainPool() {
	const dir = await mkdtemp(join(root, "pool-"));
	await mkdir(join(dir, "generations"));
	const space = async () => ({ totalBytes: 2 ** 40, freeBytes: 2 ** 40 });
	const nothing = async () => undefined;
	const pool = { dir, space, deleteSubvolume: nothing, beginWriting: nothing, sync: nothing } as unknown as Pool;
	return { dir, generations: new Generations(pool) };
}

function manifest(generationId: string): Filled {
	const limits = { cpuCount: 1, memoryMiB: 64, diskMiB: 64, pids: 16 };
	const made = {
		engineVersion: "1",
		guestId: "g",
		bootId: "b",
		createdAt: "2026-01-01T00:00:00Z",
		reason: "test",
		limits,
	};
	return { generationId, parentId: "", rootfsId: "base-0123456789abcdef", memory: true, isolation: "gvisor", ...made };
}

test("a generation that fails to be written leaves nothing", async () => {
	const { dir, generations } = await plainPool();
	const id = newId("generation");
	const failing = generations.write(id, async (partial) => {
		await writeFile(join(partial, "memory", "pages.img"), "half");
		throw new Error("disk full");
	});
	await assert.rejects(failing, /disk full/);
	assert.deepEqual(await readdir(join(dir, "generations")), []);
});

test("a memory image of another size than it was written with is corrupt, and its manifest still tells of its disk", async () => {
	const { generations } = await plainPool();
	const id = newId("generation");
	await generations.write(id, async (partial) => {
		await writeFile(join(partial, "memory", "pages.img"), "0123456789");
		return manifest(id);
	});
	assert.equal((await generations.read(id)).memoryBytes, 10);
	await writeFile(join(generations.memory(id), "pages.img"), "0123");
	await assert.rejects(generations.read(id), { reason: "generation_corrupt" });
	assert.equal((await generations.readManifest(id)).rootfsId, "base-0123456789abcdef");
});

/** [what is done to it, what is said of it] */
const DAMAGES: [(path: string) => Promise<void>, RegExp][] = [
	[(path) => truncate(path, 2_500_000), /pages.img has 2500000 bytes of 3000000/],
	[(path) => flip(path, 2_999_999), /pages.img differs within its MiB 2/],
	[(path) => flip(path, 0), /pages.img differs within its MiB 0/],
	[(path) => rm(path), /pages.img is missing/],
];

async function flip(path: string, at: number): Promise<void> {
	const before = await stat(path);
	await using file = await open(path, "r+");
	const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at);
	await file.write(Buffer.from([(buffer[0] ?? 0) ^ 1]), 0, 1, at);
	// Whoever looks at this time alone sees nothing.
	await utimes(path, before.atime, before.mtime);
}

test("a damaged memory image is found before it is used, by whoever wrote it and by the next engine", async () => {
	for (const [damage, said] of DAMAGES) {
		for (const later of [false, true]) {
			const { generations, dir } = await plainPool();
			const id = newId("generation");
			await generations.write(id, async (partial, memoryWritten) => {
				await writeFile(join(partial, "memory", "pages.img"), randomBytes(3_000_000));
				await writeFile(join(partial, "memory", "checkpoint.img"), "x");
				memoryWritten();
				return manifest(id);
			});
			const whole = await generations.readManifest(id);
			await generations.verify(whole);
			await damage(join(generations.memory(id), "pages.img"));
			const used = later ? new Generations({ dir } as unknown as Pool) : generations;
			await assert.rejects(used.verify(whole), { reason: "generation_corrupt", message: said });
		}
	}
});

test("a damaged manifest is not believed", async () => {
	const { generations, dir } = await plainPool();
	const id = newId("generation");
	await generations.write(id, async () => manifest(id));
	await generations.readManifest(id);
	const path = join(dir, "generations", id, "manifest.json");
	await writeFile(path, (await readFile(path, "utf8")).replace('"memory":true', '"memory":fals'));
	await assert.rejects(generations.readManifest(id), { reason: "generation_corrupt" });
});

test("what a crash left half-written is not listed, and removed at the next start", async () => {
	const { dir, generations } = await plainPool();
	await mkdir(join(dir, "generations", `${newId("generation")}.partial`, "memory"), { recursive: true });
	assert.deepEqual(await generations.list(), []);
	await generations.removePartials();
	assert.deepEqual(await readdir(join(dir, "generations")), []);
});

test("an existing generation is never overwritten", async () => {
	const { generations } = await plainPool();
	const id = newId("generation");
	await generations.write(id, async () => manifest(id));
	await assert.rejects(
		generations.write(id, async () => manifest(id)),
		{ reason: "already_exists" },
	);
	assert.equal((await generations.list()).length, 1);
});

test("what a file has no data for counts as the zeroes it reads as", async () => {
	const dir = await mkdtemp(join(root, "sums-"));
	await using file = await open(join(dir, "memory"), "w");
	await file.truncate(9 << 20);
	await file.write("data", 5 << 20);
	const holes = [
		{ from: 0, to: 5 << 20 },
		{ from: (5 << 20) + 4096, to: 9 << 20 },
	];
	assert.deepEqual(sumFiles(dir, { memory: { holes } }), sumFiles(dir));
});

test("of a memory image that began as a copy, only what was written is read, and damage is found all the same", async () => {
	const { dir, generations } = await plainPool();
	const parent = newId("generation");
	const bytes = randomBytes(4 << 20);
	await generations.write(parent, async (partial) => {
		await writeFile(join(partial, "memory", "ram"), bytes);
		return manifest(parent);
	});
	const child = async (changed: readonly number[], told: readonly number[], from = parent) => {
		const id = newId("generation");
		const copy = Buffer.from(bytes);
		for (const page of changed) copy.fill(randomBytes(64), page * 4096, (page + 1) * 4096);
		const written = new Uint8Array(128);
		for (const page of told) written[page >> 3] = (written[page >> 3] ?? 0) | (1 << (page & 7));
		const made = await generations.write(id, async (partial, memoryWritten) => {
			await writeFile(join(partial, "memory", "ram"), copy);
			memoryWritten({ generationId: from, written: { ram: written } });
			return manifest(id);
		});
		const found = sumFiles(join(dir, "generations", id, "memory"));
		return { made, same: JSON.stringify(made.files) === JSON.stringify(found) };
	};
	// The first and the last of a MiB and of all, runs, one that did not change after all, and a whole MiB.
	const whole = Array.from({ length: 256 }, (_, i) => 512 + i);
	assert.ok((await child([0, 5, 6, 7, 255, 256, 1023], [0, 5, 6, 7, 9, 255, 256, 1023])).same);
	assert.ok((await child(whole, whole)).same);
	assert.ok((await child([], [])).same);
	// What the copy lost without its being written, it has not the checksum of.
	const { made, same } = await child([3, 300, 700], [3, 700]);
	assert.ok(!same);
	await assert.rejects(new Generations({ dir } as unknown as Pool).verify(made), /differs within its MiB 1/);
	await generations.delete(parent);
	assert.ok((await child([3], [])).same, "with no original, all is read");
});
