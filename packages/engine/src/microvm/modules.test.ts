import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { ModuleIndex } from "./modules.ts";

const dir = mkdtempSync(join(tmpdir(), "dormice-modules-"));
after(() => rmSync(dir, { recursive: true }));
writeFileSync(
	join(dir, "modules.dep"),
	"k/ring.ko:\nk/virtio.ko: k/ring.ko\nk/virtio-rng.ko.zst: k/virtio.ko k/ring.ko\nk/virtio_blk.ko: k/virtio.ko k/ring.ko\n",
);
writeFileSync(join(dir, "modules.builtin"), "kernel/fs/ext4/ext4.ko\n");

test("modules come after what they need, each once; what is in the kernel is left out", async () => {
	const index = await ModuleIndex.open(dir);
	assert.deepEqual(index.inOrder(["virtio_rng", "ext4", "virtio_blk"]), [
		"k/ring.ko",
		"k/virtio.ko",
		"k/virtio-rng.ko.zst",
		"k/virtio_blk.ko",
	]);
	assert.equal(index.has("virtio-blk"), true);
	assert.equal(index.has("crc32c_intel"), false);
	assert.throws(() => index.inOrder(["overlay"]), { reason: "not_set_up" });
});

test("modules are read as the kernel takes them, however they are packed", async () => {
	const index = await ModuleIndex.open(dir);
	writeFileSync(join(dir, "a.ko"), "code");
	writeFileSync(join(dir, "a.ko.gz"), gzipSync("code"));
	writeFileSync(join(dir, "a.ko.zst"), zstdCompressSync("code"));
	for (const file of ["a.ko", "a.ko.gz", "a.ko.zst"])
		assert.equal(Buffer.from(await index.read(file)).toString(), "code", file);
	writeFileSync(join(dir, "a.ko.rar"), "code");
	await assert.rejects(index.read("a.ko.rar"), { reason: "not_set_up" });
});
