import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, test } from "node:test";
import { MetadataStore } from "./metadata-store.ts";

const root = mkdtempSync(join(tmpdir(), "dormice-metadata-"));
let here: string;
let directory: string;
beforeEach(() => {
	here = mkdtempSync(join(root, "case-"));
	directory = join(here, "var/metadata");
});
after(() => rmSync(root, { recursive: true }));

const open = (mostRecords?: number) => new MetadataStore({ directory, ...(mostRecords ? { mostRecords } : {}) });
const read = async (store: MetadataStore, path: string) => store.read(path, await stat(path, { bigint: true }));
async function kept(store: MetadataStore, name: string): Promise<string> {
	const path = join(here, name);
	writeFileSync(path, name);
	await store.keep(path, { name });
	return path;
}

test("records outlive a boot, which numbers the inodes anew, for the files that are still the same", async () => {
	const store = open();
	const [same, other] = [await kept(store, "same"), await kept(store, "other")];
	execFileSync("sh", ["-c", 'cp -p "$0" "$0.copy" && mv "$0.copy" "$0"', same]);
	rmSync(other);
	writeFileSync(other, "new");
	const booted = open();
	assert.deepEqual([await read(booted, same), await read(booted, other)], [{ name: "same" }, undefined]);
	assert.equal(statSync(directory).mode & 0o777, 0o700);
});

test("what a program writes into a file leaves its metadata; another file in its place does not", async () => {
	const store = open();
	const path = await kept(store, "f");
	appendFileSync(path, "more");
	assert.deepEqual(await read(store, path), { name: "f" });
	writeFileSync(join(here, "g"), "another");
	execFileSync("mv", [join(here, "g"), path]);
	assert.equal(await read(store, path), undefined);
});

test("a record that was torn or is nonsense is as if it were not there", async () => {
	const path = await kept(open(), "f");
	writeFileSync(join(directory, "torn.json"), '{"path": "/x", "mtim');
	writeFileSync(join(directory, "other.json"), "[]");
	writeFileSync(join(directory, "new.json.partial"), "{");
	assert.deepEqual(await read(open(), path), { name: "f" });
});

test("there is an end to it, and files that are gone make room", async () => {
	const store = open(2);
	const first = await kept(store, "1");
	await kept(store, "2");
	await assert.rejects(kept(store, "3"), { reason: "disk_full" });
	rmSync(first);
	assert.deepEqual(await read(store, await kept(store, "3")), { name: "3" });
	assert.equal(readdirSync(directory).length, 2);
});

test("an upload without room for its record leaves the old file and its record", async () => {
	const store = open();
	const path = await kept(store, "f");
	writeFileSync(join(here, "temporary"), "new");
	const [record = ""] = readdirSync(directory);
	mkdirSync(join(directory, `${record}.partial`));
	await assert.rejects(store.place(join(here, "temporary"), path, { name: "new" }), { code: "EISDIR" });
	assert.deepEqual([await read(store, path), await read(open(), path)], [{ name: "f" }, { name: "f" }]);
});
