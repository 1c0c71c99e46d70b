import assert from "node:assert/strict";
import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Sandbox } from "e2b";
import { type ClientOptions, TestPlatform } from "./platform.ts";

/** Counts the requests it answered, in memory only. */
const COUNTER = `let n = 0; require("http").createServer((_, r) => r.end(String(++n))).listen(3000)`;

interface Generation {
	generationID: string;
	parentID: string | null;
	label: string | null;
	memoryBytes: number;
	diskBytes: number;
	corrupt: boolean;
}

interface Difference {
	files: { path: string; change: string }[];
	processes: { started: { name: string }[]; ended: { name: string }[] };
}

let platform: TestPlatform;
let client: ClientOptions;
let sandbox: Sandbox;

before(async () => {
	platform = await TestPlatform.up();
	client = platform.client;
	sandbox = await Sandbox.create("base", { ...client, timeoutMs: 900_000 });
	await sandbox.commands.run(`node -e '${COUNTER}'`, { background: true, timeoutMs: 0 });
	for (let i = 0; i < 100 && !(await platform.request(sandbox.sandboxId, 3000)).ok; i++) await sleep(50);
});

after(async () => {
	await sandbox?.kill();
	await platform[Symbol.asyncDispose]();
});

async function count(one: Sandbox): Promise<number> {
	const response = await platform.request(one.sandboxId, 3000);
	assert.equal(response.status, 200, await response.clone().text());
	return Number(await response.text());
}

async function said(one: Sandbox, command: string): Promise<string> {
	return (await one.commands.run(command, { user: "root" })).stdout.trim();
}

async function api<T>(method: string, path: string, body?: unknown): Promise<T> {
	const response = await fetch(`${client.apiUrl}/sandboxes/${sandbox.sandboxId}${path}`, {
		method,
		headers: { "X-API-KEY": client.apiKey, "content-type": "application/json" },
		...(body === undefined ? {} : { body: JSON.stringify(body) }),
	});
	const text = await response.text();
	assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
	return JSON.parse(text) as T;
}

test("a snapshot makes a sandbox that goes on by itself, with memory, files and an identity of its own", async () => {
	await said(sandbox, "echo one > /root/file; echo in memory > /tmp/file");
	const counted = await count(sandbox);
	const { snapshotId } = await sandbox.createSnapshot();
	assert.equal(await count(sandbox), counted + 1, "it goes on");
	await said(sandbox, "echo two > /root/file");
	const other = await Sandbox.create(snapshotId, client);
	try {
		assert.equal(await count(other), counted + 1, "from where the snapshot was taken");
		assert.equal(await said(other, "cat /root/file /tmp/file; hostname"), `one\nin memory\n${other.sandboxId}`);
		await said(other, "echo other > /root/file");
		assert.equal(await said(sandbox, "cat /root/file; hostname"), `two\n${sandbox.sandboxId}`);
	} finally {
		await other.kill();
		await Sandbox.deleteSnapshot(snapshotId, client);
	}
});

test("forks are different beings: ids, tokens, host names, machine-ids, host keys, randomness, and their hook runs", async () => {
	await said(
		sandbox,
		`ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key; mkdir -p /etc/dormice/hooks
		printf '#!/bin/sh\\necho "$DORMICE_GENERATION" > /root/born\\n' > /etc/dormice/hooks/post-fork; chmod +x /etc/dormice/hooks/post-fork`,
	);
	const counted = await count(sandbox);
	const forks = await sandbox.fork({ count: 3, timeoutMs: 300_000 });
	const made = forks.filter((one) => one instanceof Sandbox);
	try {
		assert.equal(made.length, 3, String(forks.find((one) => one instanceof Error)));
		assert.deepEqual(await Promise.all(made.map(count)), [counted + 1, counted + 1, counted + 1]);
		assert.equal(await count(sandbox), counted + 1);
		const all = [sandbox, ...made];
		for (const what of [
			"cat /etc/machine-id",
			"hostname",
			"cat /etc/ssh/ssh_host_ed25519_key.pub",
			"cat /etc/ssh/ssh_host_ed25519_key",
			"head -c 16 /dev/urandom | od -An -tx1",
			"python3 -c 'import os; print(os.urandom(16).hex())'",
			"echo $E2B_SANDBOX_ID",
		]) {
			const answers = await Promise.all(all.map((one) => said(one, what)));
			assert.equal(new Set(answers).size, all.length, `${what}: ${answers.join(", ")}`);
			assert.ok(answers.every((answer) => answer !== ""));
		}
		for (const one of made) assert.match(await said(one, "cat /root/born"), /^g[a-z0-9]{20}$/);
		assert.equal(await said(sandbox, "cat /root/born 2>/dev/null || echo none"), "none");
	} finally {
		for (const one of made) await one.kill();
	}
});

test("back to a checkpoint, and what lies between", async () => {
	await said(
		sandbox,
		"mkdir -p /srv/work; echo 1 > /srv/work/kept; echo 1 > /srv/work/changed; echo 1 > /srv/work/removed",
	);
	await said(sandbox, "rm /etc/debian_version");
	const before = await count(sandbox);
	const first = await api<Generation>("POST", "/checkpoints", { label: "first" });
	assert.ok(first.memoryBytes > 0 && first.diskBytes > 0);
	await said(sandbox, "echo 2 > /srv/work/changed; rm /srv/work/removed; ln -s / /srv/work/added; rm -r /etc/skel");
	await sandbox.commands.run("exec sleep 1000", { background: true, timeoutMs: 0 });
	for (const to of ["", "&to=second"]) {
		if (to !== "") await api("POST", "/checkpoints", { label: "second" });
		const { files, processes } = await api<Difference>("GET", `/diff?from=first${to}`);
		const told = files.map(({ change, path }) => `${change} ${path}`);
		for (const line of [
			"changed /srv/work/changed",
			"removed /srv/work/removed",
			"added /srv/work/added",
			"removed /etc/skel",
		]) {
			assert.ok(told.includes(line), `${line} is not among ${told.join(", ")}`);
		}
		assert.ok(!told.some((line) => /kept|debian_version|\/added\//.test(line)), told.join(", "));
		assert.ok(
			processes.started.some(({ name }) => name === "sleep"),
			JSON.stringify(processes),
		);
	}
	assert.equal(await count(sandbox), before + 1);

	const { replacedID } = await api<{ replacedID: string }>("POST", "/rollback", { generationID: "first" });
	assert.equal(await count(sandbox), before + 1, "memory is as it was");
	assert.equal(
		await said(sandbox, "cat /srv/work/changed /srv/work/removed; ls /srv/work; pgrep -c sleep || true"),
		"1\n1\nchanged\nkept\nremoved\n0",
	);
	await api("POST", "/rollback", { generationID: replacedID });
	assert.equal(await count(sandbox), before + 2, "and forth again");
	assert.equal(await said(sandbox, "cat /srv/work/changed; pgrep -c sleep"), "2\n1");
	const history = await api<Generation[]>("GET", "/generations");
	assert.equal(history.find(({ label }) => label === "second")?.parentID, first.generationID);
	const stored = await readdir(join(platform.data, "pool/generations"));
	assert.deepEqual(
		stored.filter((name) => name.startsWith("diff-")),
		[],
		"nothing is left of the comparisons",
	);
});

test("a flipped bit in a stored memory is found before anything runs, by this engine and by the next", async () => {
	const counted = await count(sandbox);
	for (const restart of [false, true]) {
		await Sandbox.pause(sandbox.sandboxId, client);
		const [slept] = await api<Generation[]>("GET", "/generations");
		const pages = join(platform.data, "pool/generations", slept?.generationID ?? "", "memory/pages.img");
		await flip(pages);
		if (restart) {
			await platform.crash("engine");
			await platform.healthy();
		}
		await assert.rejects(Sandbox.connect(sandbox.sandboxId, client), /is damaged.*memory: false.*roll it back/);
		await flip(pages);
		await Sandbox.connect(sandbox.sandboxId, client);
	}
	assert.equal(await count(sandbox), counted + 1, "mended, it goes on");
});

async function flip(path: string): Promise<void> {
	await using file = await open(path, "r+");
	const at = Math.floor((await file.stat()).size / 2);
	const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at);
	await file.write(Buffer.from([(buffer[0] ?? 0) ^ 4]), 0, 1, at);
}
