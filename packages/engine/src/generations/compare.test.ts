import assert from "node:assert/strict";
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, test } from "node:test";
import type { Process } from "../driver.ts";
import { compare } from "./compare.ts";
import { between } from "./diff.ts";

// Plain directories, as of sandboxes over an empty root file system. What is hard-linked is the same file.
const dir = mkdtempSync(join(tmpdir(), "dormice-compare-"));
const [a, b] = [join(dir, "a"), join(dir, "b")];
const sides = [
	{ upper: a, merged: a },
	{ upper: b, merged: b },
] as const;
const told = () => compare(...sides).files.map(({ change, type, path }) => `${change} ${type} ${path}`);

beforeEach(() => {
	for (const side of [a, b]) {
		rmSync(side, { recursive: true, force: true });
		mkdirSync(join(side, "home/deep"), { recursive: true });
	}
});
after(() => rmSync(dir, { recursive: true, force: true }));

test("what was added, changed and removed, and nothing that stayed", () => {
	writeFileSync(join(a, "same"), "1");
	linkSync(join(a, "same"), join(b, "same"));
	writeFileSync(join(a, "home/changed"), "before");
	writeFileSync(join(b, "home/changed"), "later");
	writeFileSync(join(a, "home/removed"), "");
	mkdirSync(join(b, "new/inner"), { recursive: true });
	writeFileSync(join(b, "new/inner/file"), "12345678");
	const { files } = compare(...sides);
	assert.deepEqual(told().toSorted(), [
		"added directory /new",
		"added directory /new/inner",
		"added file /new/inner/file",
		"changed file /home/changed",
		"removed file /home/removed",
	]);
	const changed = files.find(({ path }) => path === "/home/changed");
	assert.deepEqual([changed?.bytesBefore, changed?.bytesAfter], [6, 5]);
});

test("no link is followed, and a directory that became a link is not read", () => {
	symlinkSync("/", join(a, "root"));
	symlinkSync("/etc", join(b, "root"));
	rmSync(join(b, "home"), { recursive: true });
	symlinkSync("/", join(b, "home"));
	assert.deepEqual(told().toSorted(), [
		"changed symlink /home",
		"changed symlink /root",
		"removed directory /home/deep",
	]);
});

test("any name, any depth and any number end in bounds", () => {
	const strange = Buffer.from([0x66, 0xff, 0x0a, 0x1b]);
	writeFileSync(Buffer.concat([Buffer.from(`${b}/`), strange]), "");
	assert.deepEqual(compare(...sides).files, [
		{ path: "/f\ufffd\n\u001b", change: "added", type: "file", bytesBefore: 0, bytesAfter: 0 },
	]);
	for (let i = 0; i < 50; i++) writeFileSync(join(b, `home/${i}`), "");
	const bounded = compare(...sides, { files: 10, looked: 1_000, pathBytes: 1_000 });
	assert.deepEqual([bounded.files.length, bounded.truncated], [10, true]);
	assert.equal(compare(...sides, { files: 1_000, looked: 1, pathBytes: 1_000 }).truncated, true);
	assert.equal(compare(...sides, { files: 1_000, looked: 1_000, pathBytes: 4 }).truncated, true);
	assert.equal(compare(...sides).truncated, false);
});

test("a process is the same with the same pid, start and name", () => {
	const process = (pid: number, name: string): Process => ({ pid, name, parent: 1, uid: 0, startedAt: "06:05" });
	const { started, ended } = between([process(1, "tini"), process(7, "node")], [process(1, "tini"), process(7, "sh")]);
	assert.deepEqual([started.map(({ name }) => name), ended.map(({ name }) => name)], [["sh"], ["node"]]);
});
