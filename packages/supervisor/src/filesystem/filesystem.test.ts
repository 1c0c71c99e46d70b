import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import type { FilesystemEvent, Sandbox } from "e2b";
import { json, TestGuest, until } from "../testing.ts";

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
	chmodSync(guest.directory, 0o755);
});
after(() => guest[Symbol.asyncDispose]());

test("an entry says what it is", async () => {
	writeFileSync(join(here, "a.txt"), "12345", { mode: 0o640 });
	chmodSync(join(here, "a.txt"), 0o640);
	const info = await sandbox.files.getInfo(join(here, "a.txt"));
	const { name, type, size, mode, permissions, owner, group } = info;
	assert.deepEqual(
		{ name, type, size, mode, permissions, owner, group },
		{ name: "a.txt", type: "file", size: 5, mode: 0o640, permissions: "-rw-r-----", owner: "root", group: "root" },
	);
	assert.equal(info.modifiedTime?.getTime(), Math.floor(statSync(join(here, "a.txt")).mtimeMs));
});

test("a link is its target, and says so", async () => {
	mkdirSync(join(here, "real"));
	symlinkSync("real", join(here, "link"));
	symlinkSync("nowhere", join(here, "broken"));
	const link = await sandbox.files.getInfo(join(here, "link"));
	assert.deepEqual([link.type, link.permissions, link.symlinkTarget], ["dir", "Lrwxrwxrwx", join(here, "real")]);
	assert.equal((await sandbox.files.getInfo(join(here, "broken"))).symlinkTarget, "nowhere");
});

test("a listing is lexical, as deep as asked, and does not enter links", async () => {
	mkdirSync(join(here, "b/c/d"), { recursive: true });
	writeFileSync(join(here, "a"), "");
	symlinkSync("b", join(here, "z"));
	const names = async (depth: number) =>
		(await sandbox.files.list(here, { depth })).map(({ path }) => path.slice(here.length));
	assert.deepEqual(await names(1), ["/a", "/b", "/z"]);
	assert.deepEqual(await names(2), ["/a", "/b", "/b/c", "/z"]);
	assert.deepEqual(await names(9), ["/a", "/b", "/b/c", "/b/c/d", "/z"]);
	assert.deepEqual(
		(await sandbox.files.list(join(here, "z"))).map(({ path }) => path),
		[join(here, "z/c")],
	);
});

test("directories are made with their parents, as the user's", async () => {
	assert.equal(await sandbox.files.makeDir(join(here, "x/y"), { user: "games" }), true);
	assert.equal(await sandbox.files.makeDir(join(here, "x/y")), false);
	for (const path of ["x", "x/y"]) {
		const { uid, mode } = statSync(join(here, path));
		assert.deepEqual([uid, mode & 0o777], [5, 0o755]);
	}
});

test("moving makes the way, also to another file system; removing is recursive and content with nothing", async () => {
	mkdirSync(join(here, "from/deep"), { recursive: true });
	writeFileSync(join(here, "from/deep/file"), "content");
	await sandbox.files.rename(join(here, "from"), join(here, "new/to"));
	assert.equal(readFileSync(join(here, "new/to/deep/file"), "utf8"), "content");
	const elsewhere = mkdtempSync("/dev/shm/dormice-");
	try {
		await sandbox.files.rename(join(here, "new/to"), join(elsewhere, "far"));
		assert.equal(readFileSync(join(elsewhere, "far/deep/file"), "utf8"), "content");
		assert.equal(await sandbox.files.exists(join(here, "new/to")), false);
	} finally {
		rmSync(elsewhere, { recursive: true });
	}
	await sandbox.files.remove(join(here, "new"));
	await sandbox.files.remove(join(here, "new"));
	assert.equal(await sandbox.files.exists(join(here, "new")), false);
});

for (const [what, call, name] of [
	["info of nothing", () => sandbox.files.getInfo(join(here, "no")), "FileNotFoundError"],
	["a listing of nothing", () => sandbox.files.list(join(here, "no")), "FileNotFoundError"],
	["a listing of a file", () => sandbox.files.list("/etc/passwd"), "InvalidArgumentError"],
	["a directory where a file is", () => sandbox.files.makeDir("/etc/passwd"), "InvalidArgumentError"],
	["a move of nothing", () => sandbox.files.rename(join(here, "no"), join(here, "x")), "FileNotFoundError"],
	["a watch of nothing", () => sandbox.files.watchDir(join(here, "no"), () => undefined), "FileNotFoundError"],
	["a watch of a file", () => sandbox.files.watchDir("/etc/passwd", () => undefined), "InvalidArgumentError"],
	["a NUL in a path", () => sandbox.files.getInfo("/a\0b"), "InvalidArgumentError"],
	["someone else's ~", () => sandbox.files.getInfo("~root/x"), "InvalidArgumentError"],
	["an unknown user", () => sandbox.files.list("/", { user: "nobody-knows" }), "AuthenticationError"],
] as const) {
	test(`${what} is a ${name}`, () => assert.rejects(async () => void (await call()), { name }));
}

/** Does something under a watch; returns what was seen until `last`. */
async function watching(options: { recursive: boolean; last: string }, act: () => Promise<unknown>): Promise<string[]> {
	const seen: string[] = [];
	const handle = await sandbox.files.watchDir(
		here,
		(event: FilesystemEvent) => void seen.push(`${event.type} ${event.name}`),
		{
			recursive: options.recursive,
		},
	);
	await act();
	await until(`${options.last} in ${seen}`, () => seen.includes(options.last));
	await handle.stop();
	return seen;
}

test("a watch tells each change in order", async () => {
	const script =
		"cd $HERE; echo 1 > a; chmod 600 a; mv a b; rm b; mkdir d; touch d/unseen; rmdir d 2>/dev/null; touch end";
	const seen = await watching({ recursive: false, last: "create end" }, () =>
		sandbox.commands.run(script, { envs: { HERE: here } }),
	);
	assert.deepEqual(seen.slice(0, 7), [
		"create a",
		"write a",
		"chmod a",
		"rename a",
		"create b",
		"remove b",
		"create d",
	]);
	assert.ok(!seen.some((event) => event.includes("unseen")));
});

test("a recursive watch follows new directories, whatever was already in them, and renamed ones", async () => {
	const script = "cd $HERE; mkdir -p a/b/c; echo 1 > a/b/c/f; mv a z; echo 2 > z/b/c/g; touch z/b/c/end";
	const seen = await watching({ recursive: true, last: "create z/b/c/end" }, () =>
		sandbox.commands.run(script, { envs: { HERE: here } }),
	);
	for (const event of [
		"create a",
		"create a/b",
		"create a/b/c",
		"create a/b/c/f",
		"rename a",
		"create z",
		"create z/b/c/g",
	]) {
		assert.equal(seen.filter((one) => one === event).length, 1, `${event} in ${seen}`);
	}
});

test("a watch sees uploads as if they were written in place", async () => {
	const seen = await watching({ recursive: false, last: "create end" }, async () => {
		await sandbox.files.write(join(here, "f"), "1");
		await sandbox.files.write(join(here, "f"), "2");
		await sandbox.files.write(join(here, "end"), "");
	});
	assert.deepEqual(seen.slice(0, 4), ["create f", "write f", "write f", "create end"]);
});

test("watch events carry the entry when asked", async () => {
	const events: FilesystemEvent[] = [];
	const handle = await sandbox.files.watchDir(here, (event) => void events.push(event), { includeEntry: true });
	writeFileSync(join(here, "f"), "123");
	await until("the write", () => events.some(({ type }) => type === "write"));
	assert.equal(events.find(({ type }) => type === "write")?.entry?.size, 3);
	await handle.stop();
});

test("a watcher collects, drains and ends", async () => {
	const call = async (method: string, body: object) => {
		const headers = { "content-type": "application/json" };
		return guest.fetch(`/filesystem.Filesystem/${method}`, { method: "POST", headers, body: JSON.stringify(body) });
	};
	const { watcherId } = await json<{ watcherId: string }>(call("CreateWatcher", { path: here }));
	assert.match(watcherId, /^w[a-z0-9]{20}$/);
	writeFileSync(join(here, "f"), "1");
	const events: { type: string; name: string }[] = [];
	await until("the events", async () => {
		events.push(...((await json<{ events?: typeof events }>(call("GetWatcherEvents", { watcherId }))).events ?? []));
		return events.length >= 2;
	});
	assert.deepEqual(events.slice(0, 2), [
		{ type: "EVENT_TYPE_CREATE", name: "f" },
		{ type: "EVENT_TYPE_WRITE", name: "f" },
	]);
	assert.equal((await call("RemoveWatcher", { watcherId })).status, 200);
	assert.equal((await call("GetWatcherEvents", { watcherId })).status, 404);
	const watching = await sandbox.commands.run(`pgrep -fc '^${guest.directory}/spawner watch' || true`);
	assert.equal(watching.stdout.trim(), "0", "no watch process is left");
});
