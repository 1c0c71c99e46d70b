import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import {
	chmodSync,
	chownSync,
	closeSync,
	linkSync,
	lstatSync,
	mkdirSync,
	mkdtempSync,
	openSync,
	readdirSync,
	readFileSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import type { Sandbox } from "e2b";
import { compileSpawner, TestGuest, until } from "../testing.ts";

let guest: TestGuest;
let sandbox: Sandbox;
let here: string;
before(async () => {
	guest = await TestGuest.start();
	sandbox = await guest.connect();
});
beforeEach(() => {
	here = mkdtempSync(join(guest.directory, "case-"));
	chmodSync(here, 0o755);
});
after(() => guest[Symbol.asyncDispose]());

const GAMES = 5;

for (const [what, links, written, target] of [
	["a link", { link: "target" }, "link", "target"],
	["a link into a directory that is not there yet", { link: "new/deep/target" }, "link", "new/deep/target"],
	["a link to a link", { link: "second", second: "d/target" }, "link", "d/target"],
	["a link to a directory", { link: "d" }, "link/target", "d/target"],
	["a link to a directory that is not there yet", { link: "new" }, "link/deep/target", "new/deep/target"],
	["a link that goes up from where it is", { "d/link": "../e/target" }, "d/link", "e/target"],
	["a link read by way of another", { way: "d/f", "d/f/link": "../target" }, "way/link", "d/target"],
	["a link that goes up out of a link", { way: "d/f", link: "way/../target" }, "link", "d/target"],
] as const) {
	for (const exists of [false, true]) {
		test(`a write through ${what} goes to ${exists ? "the file that is there" : "a new file"}, and the link stays`, async () => {
			for (const directory of ["d/f", "e"]) mkdirSync(join(here, directory), { recursive: true });
			for (const [path, text] of Object.entries(links)) symlinkSync(text, join(here, path));
			if (exists) {
				mkdirSync(join(here, target, ".."), { recursive: true });
				writeFileSync(join(here, target), "old");
			}
			await sandbox.files.write(join(here, written), "content", { user: "games" });
			assert.equal(readFileSync(join(here, target), "utf8"), "content");
			assert.equal(lstatSync(join(here, target)).uid, GAMES);
			assert.ok(lstatSync(join(here, target)).isFile());
			for (const path of Object.keys(links)) assert.ok(lstatSync(join(here, path)).isSymbolicLink(), path);
			assert.equal(await sandbox.files.read(join(here, written)), "content");
		});
	}
}

test("an absolute link is followed, and one that leads round in a circle is refused", async () => {
	symlinkSync(join(here, "target"), join(here, "absolute"));
	await sandbox.files.write(join(here, "absolute"), "content");
	assert.equal(readFileSync(join(here, "target"), "utf8"), "content");
	symlinkSync("b", join(here, "a"));
	symlinkSync("a", join(here, "b"));
	for (const path of ["a", "a/f"]) {
		await assert.rejects(sandbox.files.write(join(here, path), "x"), { name: "InvalidArgumentError" });
	}
	symlinkSync("nowhere", join(here, "broken"));
	await assert.rejects(sandbox.files.makeDir(join(here, "broken")), { name: "InvalidArgumentError" });
});

test("a composed file goes through a link, and is not removed where it is its own source by another name", async () => {
	mkdirSync(join(here, "d"));
	symlinkSync("d", join(here, "way"));
	writeFileSync(join(here, "d/a"), "1");
	writeFileSync(join(here, "b"), "2");
	const body = { source_paths: [join(here, "way/a"), join(here, "b")], destination: join(here, "d/a") };
	const answer = await guest.fetch("/files/compose", { method: "POST", body: JSON.stringify(body) });
	assert.equal(answer.status, 200);
	assert.deepEqual([readFileSync(join(here, "d/a"), "utf8"), readdirSync(here)], ["12", ["d", "way"]]);
});

for (const [what, prepare] of [
	["root's", () => undefined],
	["another user's", () => chownSync(join(here, "f"), 60, 60)],
	["root's, with two names", () => linkSync(join(here, "f"), join(here, "g"))],
] as const) {
	test(`a file that was ${what} is the user's once it is written as the user, with the mode it had`, async () => {
		writeFileSync(join(here, "f"), "old");
		chmodSync(join(here, "f"), 0o640);
		prepare();
		await sandbox.files.write(join(here, "f"), "new", { user: "games" });
		const { uid, gid, mode } = statSync(join(here, "f"));
		assert.deepEqual([readFileSync(join(here, "f"), "utf8"), uid, gid, mode & 0o7777], ["new", GAMES, 60, 0o640]);
	});
}

test("new content does not inherit a set-user-ID bit", async () => {
	writeFileSync(join(here, "f"), "old");
	chmodSync(join(here, "f"), 0o6755);
	await sandbox.files.write(join(here, "f"), "new");
	assert.equal(statSync(join(here, "f")).mode & 0o7777, 0o755);
});

test("every name of a file has its new content and metadata, and who has another open keeps it whole", async () => {
	for (const [name, size] of [["small", 10] as const, ["large", 9 << 20] as const]) {
		const [path, other] = [join(here, name), join(here, `${name}-too`)];
		writeFileSync(path, "a long old content");
		linkSync(path, other);
		const headers = { "content-type": "application/octet-stream", "x-metadata-kind": name };
		const url = `/files?path=${encodeURIComponent(path)}`;
		assert.equal((await guest.fetch(url, { method: "POST", headers, body: "x".repeat(size) })).status, 200);
		assert.equal(readFileSync(other, "utf8"), "x".repeat(size));
		assert.deepEqual((await sandbox.files.getInfo(other)).metadata, { kind: name });
		await sandbox.files.write(path, "");
		assert.deepEqual([readFileSync(other, "utf8"), (await sandbox.files.getInfo(other)).metadata ?? {}], ["", {}]);
		assert.equal(statSync(path).nlink, 2);
	}
	writeFileSync(join(here, "f"), "old");
	const reader = openSync(join(here, "f"), "r");
	await sandbox.files.write(join(here, "f"), "new content");
	assert.deepEqual([readFileSync(reader, "utf8"), readFileSync(join(here, "f"), "utf8")], ["old", "new content"]);
	closeSync(reader);
});

test("attributes and access lists of a file stay when it is overwritten", async () => {
	const path = join(here, "f");
	writeFileSync(path, "old");
	const python = (code: string) =>
		execFileSync("python3", ["-c", `import os, sys; ${code}`, path], { encoding: "utf8" });
	// Version 2: user::rw-, user:5:rw-, group::r--, mask::rw-, other::---
	const acl = "0200000001000600ffffffff020006000500000004000400ffffffff10000600ffffffff20000000ffffffff";
	python(`os.setxattr(sys.argv[1], "user.theirs", b"1")`);
	python(`os.setxattr(sys.argv[1], "system.posix_acl_access", bytes.fromhex("${acl}"))`);
	await sandbox.files.write(path, "new", { user: "games" });
	assert.equal(python(`print(os.getxattr(sys.argv[1], "user.theirs").decode())`).trim(), "1");
	assert.equal(python(`print(os.getxattr(sys.argv[1], "system.posix_acl_access").hex())`).trim(), acl);
	assert.equal(readFileSync(path, "utf8"), "new");
});

test("a file that is a mount of its own is written", async () => {
	for (const name of ["f", "mounted"]) writeFileSync(join(here, name), "old");
	execFileSync("mount", ["--bind", join(here, "mounted"), join(here, "f")]);
	try {
		await sandbox.files.write(join(here, "f"), "new");
		assert.deepEqual(
			[readFileSync(join(here, "f"), "utf8"), readFileSync(join(here, "mounted"), "utf8")],
			["new", "new"],
		);
	} finally {
		execFileSync("umount", [join(here, "f")]);
	}
});

test("a directory that is the same disk mounted elsewhere takes files", async () => {
	for (const name of ["d", "e"]) mkdirSync(join(here, name));
	execFileSync("mount", ["--bind", join(here, "e"), join(here, "d")]);
	try {
		for (const content of ["1", "2"]) await sandbox.files.write(join(here, "d/f"), content);
		assert.equal(readFileSync(join(here, "e/f"), "utf8"), "2");
	} finally {
		execFileSync("umount", [join(here, "d")]);
	}
});

for (const [what, prepare] of [
	["a file", () => undefined],
	["a new file", () => execFileSync("rm", [join(here, "f")])],
	["a file with two names", () => linkSync(join(here, "f"), join(here, "g"))],
] as const) {
	test(`of writes of ${what} at the same moment one is left, whole`, async () => {
		const path = join(here, "f");
		writeFileSync(path, "0".repeat(300_000));
		prepare();
		for (let round = 0; round < 5; round++) {
			const contents = [1, 2, 3, 4, 5, 6].map((digit) => String(digit).repeat(100_000 * digit));
			await Promise.all(contents.map((content) => sandbox.files.write(path, content)));
			const left = readFileSync(path, "utf8");
			assert.ok(contents.includes(left), `${left.length} characters, of ${new Set(left).size} writes`);
		}
	});
}

test("a reader that polls a file never sees half of a write, nor none", async () => {
	const path = join(here, "f");
	writeFileSync(path, "0".repeat(700_000));
	const script = `
		const { readFileSync } = require("node:fs");
		let [reads, torn] = [0, 0];
		process.on("SIGTERM", () => { console.log(reads, torn); process.exit(); });
		(function look() {
			const text = readFileSync(process.argv[1], "latin1");
			reads++;
			if (text.length < 100000 || text !== text[0].repeat(text.length)) torn++;
			setImmediate(look);
		})();`;
	const poller = spawn(process.execPath, ["-e", script, path], { stdio: ["ignore", "pipe", "inherit"] });
	let said = "";
	poller.stdout.on("data", (bytes) => {
		said += bytes;
	});
	for (let round = 1; round <= 60; round++) {
		await sandbox.files.write(path, String(round % 10).repeat(100_000 + ((round * 37_000) % 600_000)));
	}
	poller.kill();
	await until("its count", () => said.includes("\n"));
	const [reads = 0, torn] = said.trim().split(" ").map(Number);
	assert.ok(reads > 10);
	assert.equal(torn, 0, `of ${reads} reads`);
});

test("a watcher inside sees nothing of an upload but the finished file", async () => {
	const spawner = compileSpawner(mkdtempSync(join(guest.directory, "watch-")));
	const watcher = spawn(spawner, ["watch", here, "-r"], { stdio: ["ignore", "pipe", "inherit"] });
	let seen = "";
	watcher.stdout.setEncoding("latin1").on("data", (text) => {
		seen += text;
	});
	await until("the watch", () => seen.startsWith("ready\n"));
	await sandbox.files.write(join(here, "f"), "1");
	await sandbox.files.write(join(here, "f"), "2");
	const elsewhere = mkdtempSync("/dev/shm/dormice-");
	writeFileSync(join(elsewhere, "moved"), "3");
	await sandbox.files.rename(join(elsewhere, "moved"), join(here, "moved"));
	execFileSync("rmdir", [elsewhere]);
	await sandbox.files.write(join(here, "end"), "");
	await until("the last one", () => seen.endsWith("end"));
	watcher.kill();
	const names = seen.slice("ready\n".length).match(/[a-z.-]+[0-9a-f-]*$|[a-z.-]{1,}/g) ?? [];
	assert.deepEqual(names, ["f", "f", "moved", "end"]);
});
