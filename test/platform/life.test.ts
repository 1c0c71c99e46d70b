import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { CommandExitError, NotEnoughSpaceError, Sandbox } from "e2b";
import { type ClientOptions, census, machineDirOf, TestPlatform, testData } from "./platform.ts";

let platform: TestPlatform;
let client: ClientOptions;

const BY_REQUEST = { onTimeout: "pause", autoResume: true } as const;
const COUNTER = `let n = 0; require("http").createServer((_, r) => r.end(String(++n))).listen(3000)`;

before(async () => {
	// Without spares, so that what is counted belongs to the sandboxes of these tests.
	platform = await TestPlatform.up({ DORMICE_SPARES: "0" });
	client = platform.client;
});

after(async () => {
	await platform[Symbol.asyncDispose]();
	await rm(join(testData(), "variables.json"), { force: true });
});

async function withSandbox(work: (sandbox: Sandbox) => Promise<void>): Promise<void> {
	const sandbox = await Sandbox.create("base", { ...client, lifecycle: BY_REQUEST, timeoutMs: 600_000 });
	try {
		await work(sandbox);
	} finally {
		await sandbox.kill();
	}
}

async function count(sandbox: Sandbox): Promise<number> {
	const response = await platform.request(sandbox.sandboxId, 3000);
	assert.equal(response.status, 200, await response.clone().text());
	return Number(await response.text());
}

test("a sandbox is a machine: users, tools, files, terminals, watches", () =>
	withSandbox(async (sandbox) => {
		const { commands, files, pty } = sandbox;
		const said = async (command: string) => (await commands.run(command)).stdout.trim();
		assert.equal(await said("id -un; sudo id -un; sudo -u nobody id -un"), "user\nroot\nnobody");
		assert.equal(await said("echo $E2B_SANDBOX_ID"), sandbox.sandboxId);
		assert.equal(
			await said(
				"locale charmap; python -c 'print(1 + 1)'; node -p '1 + 1'; echo 'int main(){}' > a.c; gcc a.c && ./a.out; echo $?",
			),
			"UTF-8\n2\n2\n0",
		);
		assert.equal(
			await said(
				"git init -q r && cd r && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x && git log --format=%s; git daemon --help > /dev/null 2>&1; npm --version | cut -d. -f1",
			),
			"x\n11",
		);
		assert.equal((await commands.run("echo err > /dev/stderr")).stderr, "err\n");
		await assert.rejects(commands.run("exit 3"), (error) => error instanceof CommandExitError && error.exitCode === 3);

		const seen: string[] = [];
		await files.makeDir("watched");
		const watch = await files.watchDir("/home/user/watched", (event) => void seen.push(`${event.type} ${event.name}`));
		await files.write("watched/a", "1");
		for (let i = 0; i < 100 && !seen.includes("write a"); i++) await sleep(20);
		assert.ok(seen.includes("create a") && seen.includes("write a"), seen.join(", "));
		await watch.stop();

		let screen = "";
		const terminal = await pty.create({
			cols: 80,
			rows: 24,
			onData: (data) => {
				screen += new TextDecoder().decode(data);
			},
		});
		await pty.sendInput(terminal.pid, new TextEncoder().encode("tty; stty size; exit 4\n"));
		await terminal
			.wait()
			.catch((error: unknown) => assert.ok(error instanceof CommandExitError && error.exitCode === 4));
		assert.match(screen, /\/dev\/pts\/\d+\s+24 80/);
	}));

test("fifty times asleep and awake: nothing lost, nothing leaked, nothing grown", () =>
	withSandbox(async (sandbox) => {
		const { commands, sandboxId } = sandbox;
		const { generations: before = 0 } = await census(platform.data);
		await commands.run(`node -e '${COUNTER}'`, { background: true, timeoutMs: 0 });
		await commands.run("head -c 8000000 /dev/urandom > /tmp/memory; sha256sum /tmp/memory > /tmp/sum");
		await commands.run("sqlite3 log.db 'pragma synchronous=full; create table log (n integer)'");
		for (let i = 0; i < 100; i++) if (await platform.request(sandboxId, 3000).then((answer) => answer.ok)) break;
		let last = await count(sandbox);
		await Sandbox.pause(sandboxId, client);
		for (let cycle = 1; cycle <= 50; cycle++) {
			const next = await count(sandbox);
			assert.equal(next, last + 1, `cycle ${cycle}`);
			last = next;
			await commands.run(`sqlite3 log.db 'insert into log values (${cycle})'`);
			await Sandbox.pause(sandboxId, client);
		}
		// The last two are kept.
		await settled({ mounts: 0, cgroups: 0, loopDevices: 0, disks: 0, generations: before + 2, sentries: 0 });
		assert.equal(await count(sandbox), last + 1);
		assert.match((await commands.run("sha256sum -c /tmp/sum")).stdout, /OK/);
		const logged = await commands.run("sqlite3 log.db 'pragma integrity_check; select count(*), sum(n) from log'");
		assert.equal(logged.stdout, "ok\n50|1275\n");
		const drift = Math.abs(Number((await commands.run("date +%s%N")).stdout) / 1e6 - Date.now());
		assert.ok(drift < 1_000, `the clock is ${drift} ms off`);
	}));

test("a hundred requests to a sleeping sandbox wake it once", () =>
	withSandbox(async (sandbox) => {
		await sandbox.commands.run(`node -e '${COUNTER}'`, { background: true, timeoutMs: 0 });
		await sleep(500);
		await Sandbox.pause(sandbox.sandboxId, client);
		const answers = await Promise.all(Array.from({ length: 100 }, () => count(sandbox)));
		assert.deepEqual(
			answers.toSorted((a, b) => a - b),
			Array.from({ length: 100 }, (_, i) => i + 1),
		);
		const headers = { "X-API-KEY": client.apiKey };
		const logs = await fetch(`${client.apiUrl}/sandboxes/${sandbox.sandboxId}/logs`, { headers });
		const { logEntries } = (await logs.json()) as { logEntries: { message: string }[] };
		const wakes = logEntries.filter(
			(entry) => /waking|resum/i.test(entry.message) && /running|resumed/i.test(entry.message),
		);
		assert.ok(wakes.length <= 1, JSON.stringify(wakes));
	}));

test("without its memory it boots cold, with its files", () =>
	withSandbox(async (sandbox) => {
		const { commands, sandboxId } = sandbox;
		const bootId = (await commands.run("cat /proc/sys/kernel/random/boot_id")).stdout;
		await commands.run("echo kept > kept; echo gone > /tmp/gone");
		await Sandbox.pause(sandboxId, { ...client, keepMemory: false });
		const again = await Sandbox.connect(sandboxId, client);
		assert.equal((await again.commands.run("cat kept; ls /tmp")).stdout, "kept\n");
		assert.notEqual((await again.commands.run("cat /proc/sys/kernel/random/boot_id")).stdout, bootId);
	}));

test("without autoResume a sleeping sandbox stays asleep, and a timeout kills", async () => {
	const sandbox = await Sandbox.create("base", client);
	await sandbox.pause();
	assert.equal(await sandbox.isRunning(), false);
	assert.equal((await platform.request(sandbox.sandboxId, 3000)).status, 502);
	const awake = await Sandbox.connect(sandbox.sandboxId, client);
	assert.equal(await awake.isRunning(), true);
	await awake.setTimeout(1_000);
	for (let i = 0; i < 100 && (await awake.isRunning()); i++) await sleep(50);
	assert.equal(await Sandbox.kill(sandbox.sandboxId, client), false);
});

test("a full disk says so, and nothing else suffers", () =>
	withSandbox(async (sandbox) => {
		// Ten gigabytes take minutes to write: most of them are reserved from outside, on the sandbox's own file system.
		const disk = `${await machineDirOf(platform.data, sandbox.sandboxId)}/disk`;
		const { bavail, bsize } = await statfs(disk);
		execFileSync("fallocate", ["-l", String(bavail * bsize - (40 << 20)), `${disk}/ballast`]);
		await sandbox.files.write("small", "kept");
		await assert.rejects(sandbox.files.write("large", new Blob([new Uint8Array(64 << 20)])), NotEnoughSpaceError);
		await assert.rejects(
			sandbox.commands.run("head -c 64000000 /dev/zero > large"),
			(error) => error instanceof CommandExitError && /No space left on device/.test(error.stderr),
		);
		await sandbox.commands.run("rm -f large");
		await sandbox.files.write("again", "fits");
		assert.equal(await sandbox.files.read("small"), "kept");
		await rm(`${disk}/ballast`);
	}));

/** Waits for what is cleaned up in the background. */
async function settled(expected: Record<string, number>): Promise<void> {
	for (let i = 0; i < 50; i++) {
		if (JSON.stringify(await census(platform.data)) === JSON.stringify(expected)) return;
		await sleep(100);
	}
	assert.deepEqual(await census(platform.data), expected);
}
