import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { newId } from "@dormice/protocol";
import type { Pool } from "../disk/pool.ts";
import { Generations, type Manifest } from "./generations.ts";

/** A pool of plain directories: what is tested here is when a generation gets its name. */
async function plainPool() {
	const dir = await mkdtemp(join(tmpdir(), "dormice-generations-"));
	await mkdir(join(dir, "generations"));
	const pool = { dir, deleteSubvolume: async () => undefined, sync: async () => undefined } as unknown as Pool;
	return { dir, generations: new Generations(pool) };
}

function manifest(generationId: string): Omit<Manifest, "memoryBytes"> {
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
