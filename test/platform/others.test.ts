import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { Sandbox } from "e2b";
import { instanceOf, TestPlatform, testData } from "./platform.ts";

const run = promisify(execFile);
const NOBODY = 65534;
const CANARY = "canary-of-a-guest-7c1f";
/** What every user of the host may read: how it listens, and the process ids of what runs. */
const FOR_ALL = ["config.json", "engine.json", "keeper.json", "postgres.json", "server.json"];
/** Trees of very many files, of guests or of packages: what leads to them is tried, and they are not descended into. */
const DEEP = /\/pool\/rootfs\/|\/machines\/[^/]+\/(root|disk)\/|\/guest\/[^/]+\/|\/postgres\/base\//;

let platform: TestPlatform;
let runDir = "";
/** A Node that any user can start. */
const open = mkdtempSync("/var/tmp/dormice-others-");

before(async () => {
	platform = await TestPlatform.up({ DORMICE_ALLOW_EMULATION: "1" });
	runDir = `/run/dormice/${instanceOf(platform.data)}`;
	chmodSync(open, 0o755);
	copyFileSync(process.execPath, join(open, "node"));
});

after(async () => {
	await platform[Symbol.asyncDispose]();
	rmSync(open, { recursive: true });
	await rm(join(testData(), "variables.json"), { force: true });
});

/** Tries each path as a user without rights who knows all names. */
const ATTEMPT = `
	const fs = require("node:fs"), net = require("node:net");
	const rows = JSON.parse(fs.readFileSync(0, "utf8"));
	const done = { opened: [], listed: [], connected: [] };
	const attempt = (list, path, work) => { try { work(); list.push(path) } catch {} };
	for (const { path } of rows.filter(({ kind }) => kind === "file"))
		for (const flags of ["r", "r+"]) attempt(done.opened, path, () => fs.closeSync(fs.openSync(path, flags)));
	for (const { path } of rows.filter(({ kind }) => kind === "dir")) attempt(done.listed, path, () => fs.readdirSync(path));
	const sockets = rows.filter(({ kind }) => kind === "socket");
	Promise.all(sockets.map(({ path }) => new Promise((resolve) => {
		const socket = net.connect(path, () => { done.connected.push(path); socket.destroy(); resolve() });
		socket.on("error", resolve);
	}))).then(() => console.log(JSON.stringify(done)));`;

type Kind = "file" | "dir" | "socket";

async function asNobody(
	rows: { path: string; kind: Kind }[],
): Promise<Record<"opened" | "listed" | "connected", string[]>> {
	const running = run(join(open, "node"), ["-e", ATTEMPT], { uid: NOBODY, gid: NOBODY, cwd: "/", maxBuffer: 1 << 26 });
	running.child.stdin?.end(JSON.stringify(rows));
	const done = JSON.parse((await running).stdout) as Record<"opened" | "listed" | "connected", string[]>;
	return { ...done, opened: [...new Set(done.opened)].sort() };
}

/** What the server's and engine's programs are named by. */
const REPOSITORY = join(import.meta.dirname, "../..");

/** Everything below a directory, as root sees it. */
function below(dir: string): { path: string; kind: Kind }[] {
	const rows: { path: string; kind: Kind }[] = [{ path: dir, kind: "dir" }];
	for (const entry of readdirSync(dir, { withFileTypes: true })) {
		const path = join(dir, entry.name);
		if (entry.isDirectory()) rows.push(...(DEEP.test(path) ? [{ path, kind: "dir" as const }] : below(path)));
		else if (entry.isSocket()) rows.push({ path, kind: "socket" });
		else if (entry.isFile()) rows.push({ path, kind: "file" });
	}
	return rows;
}

/** What the kernel shows of the platform's processes, the sandboxes' among them. */
function processFiles(): { path: string; kind: Kind }[] {
	const rows: { path: string; kind: Kind }[] = [];
	for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
		const file = `/proc/${pid}/cmdline`;
		const line = existsSync(file) ? readFileSync(file, "utf8") : "";
		if (![platform.data, runDir, REPOSITORY].some((ours) => line.includes(ours))) continue;
		for (const name of ["mem", "environ", "maps"]) rows.push({ path: `/proc/${pid}/${name}`, kind: "file" });
		for (const name of ["fd", "root", "cwd", "map_files"]) rows.push({ path: `/proc/${pid}/${name}`, kind: "dir" });
	}
	return rows;
}

test("a user of the host without rights reads nothing of a guest's, and connects to nothing", async () => {
	const { client } = platform;
	const isolations = ["gvisor", "microvm"];
	const sandboxes: Sandbox[] = [];
	for (const isolation of isolations) {
		const metadata = { "dormice.isolation": isolation };
		const sandbox = await Sandbox.create("base", {
			...client,
			metadata,
			timeoutMs: 600_000,
			requestTimeoutMs: 300_000,
		});
		const say = `for to in ~/secret /dev/shm/secret /tmp/secret; do echo ${CANARY} > $to; done; sync`;
		await sandbox.commands.run(say, { timeoutMs: 60_000 });
		await sandbox.commands.run(`echo ${CANARY} > /proc/1/fd/1`, { user: "root", timeoutMs: 60_000 });
		sandboxes.push(sandbox);
	}
	// One whose memory is stored, beside those that run.
	const asleep = await Sandbox.create("base", { ...client, metadata: { "dormice.isolation": "gvisor" } });
	await asleep.commands.run(`echo ${CANARY} > /dev/shm/secret`);
	await asleep.pause();
	try {
		await assertClosed();
	} finally {
		for (const sandbox of [...sandboxes, asleep]) await sandbox.kill();
	}
});

/** A user without rights opens nothing of what there is but what all may read, and none of that tells anything. */
async function assertClosed(): Promise<void> {
	const devices = readdirSync("/dev").filter((name) => /^(loop\d|zram|btrfs-control)/.test(name));
	const rows = [
		...below(platform.data),
		...below(runDir),
		...processFiles(),
		...devices.map((name) => ({ path: join("/dev", name), kind: "file" as const })),
	];
	const of = (kind: Kind) => rows.filter((row) => row.kind === kind).map(({ path }) => path);
	// The walk finds what must stay closed.
	for (const wanted of [
		/\/pool\.img$/,
		/\/generations\/.*pages\.img$/,
		/\/disk\.img$/,
		/\/logs\/sandboxes\/.*\.log$/,
		/\/mem$/,
	])
		assert.ok(
			of("file").some((path) => wanted.test(path)),
			String(wanted),
		);
	for (const wanted of [/engine\.sock$/, /PGSQL/, /runsc-.*\.sock$/, /\/qmp$/])
		assert.ok(
			of("socket").some((path) => wanted.test(path)),
			String(wanted),
		);

	const tried = await asNobody(rows);
	const { listed, connected } = tried;
	// Of a process that has ended meanwhile the kernel shows nothing, to everybody.
	const opened = tried.opened.filter((path) => !hasEnded(path));
	const expected = [platform.data, runDir].flatMap((dir) => FOR_ALL.map((name) => join(dir, name)));
	assert.deepEqual(opened, expected.filter((path) => existsSync(path)).sort());
	for (const path of opened) assert.ok(!readFileSync(path, "utf8").includes(CANARY), path);
	assert.deepEqual({ listed, connected }, { listed: [], connected: [] });
}

/** Whether this is a file of a process that is over, or waits to be reaped. */
function hasEnded(path: string): boolean {
	const pid = /^\/proc\/(\d+)\//.exec(path)?.[1];
	if (pid === undefined) return false;
	const file = `/proc/${pid}/cmdline`;
	return !existsSync(file) || readFileSync(file, "utf8") === "";
}

test("what was left open is named by doctor and closed by the next engine; a lock is nobody else's to take", async () => {
	const image = join(platform.data, "pool.img");
	const doomed: [string, number][] = [
		[image, 0o644],
		[join(platform.data, "pool"), 0o755],
		[join(runDir, "machines"), 0o755],
		[platform.data, 0o755],
	];
	for (const [path, mode] of doomed) chmodSync(path, mode);
	const stray = join(platform.data, "stray");
	await writeFile(stray, CANARY);
	const check = async () => {
		const { checks } = JSON.parse(await platform.dormice("doctor", "--json")) as {
			checks: { name: string; ok: boolean; detail: string; remedy?: string }[];
		};
		for (const name of ["server", "postgres"]) assert.ok(checks.find((one) => one.name === `${name}'s filter`)?.ok);
		return checks.find(({ name }) => name === "closed to others");
	};
	const bad = await check();
	assert.equal(bad?.ok, false);
	for (const [path, mode] of [...doomed, [stray, 0o644] as const])
		assert.ok(bad.detail.includes(`${path} (${mode.toString(8)})`), bad.detail);
	assert.ok(bad.remedy?.includes(`chmod 600 ${image}`));

	await platform.crash("engine");
	await platform.healthy();
	assert.equal((await check())?.ok, true);
	const modes = [...doomed.map(([path]) => path), stray].map((path) => (statSync(path).mode & 0o777).toString(8));
	assert.deepEqual(modes, ["600", "700", "700", "711", "600"]);
	rmSync(stray);
	for (const lock of [join(runDir, "keeper.lock"), join(runDir, "start.lock"), "/run/dormice/setup.lock"]) {
		const taken = await run("flock", ["--nonblock", "--shared", lock, "true"], { uid: NOBODY, gid: NOBODY }).catch(
			(error: Error) => error.message,
		);
		assert.match(String(taken), /Permission denied/, lock);
	}
});
