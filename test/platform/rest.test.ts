import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Sandbox } from "e2b";
import { TestPlatform } from "./platform.ts";

let platform: TestPlatform;
before(async () => {
	platform = await TestPlatform.up();
});
after(() => platform[Symbol.asyncDispose]());

/** Counts its requests, and says what time it is. */
const COUNTER = `let n = 0; require("http").createServer((_, r) => r.end(++n + " " + Date.now())).listen(3000)`;

interface Lifecycle {
	state: string;
	rung: string;
	awake: { signal: string; detail: string }[];
	timesMs: Record<string, number>;
	history: { to: string; reason: string }[];
}

async function why(id: string): Promise<Lifecycle> {
	const { apiUrl, apiKey } = platform.client;
	const response = await fetch(`${apiUrl}/sandboxes/${id}/lifecycle`, { headers: { "x-api-key": apiKey } });
	return (await response.json()) as Lifecycle;
}

async function until(id: string, what: string, isSo: (now: Lifecycle) => boolean): Promise<Lifecycle> {
	for (let i = 0; i < 120; i++) {
		const now = await why(id);
		if (isSo(now)) return now;
		await sleep(250);
	}
	throw new Error(`${what}: never; ${JSON.stringify(await why(id))}`);
}

async function ask(id: string): Promise<number> {
	const response = await platform.request(id, 3000);
	assert.equal(response.status, 200, await response.clone().text());
	const [count, time] = (await response.text()).split(" ").map(Number);
	const driftMs = Math.abs((time ?? 0) - Date.now());
	assert.ok(driftMs < 1_000, `the clock is ${driftMs} ms off`);
	return count ?? 0;
}

async function create(metadata: Record<string, string>): Promise<Sandbox> {
	const sandbox = await Sandbox.create("base", { ...platform.client, timeoutMs: 600_000, metadata });
	const server = await sandbox.commands.run(`node -e '${COUNTER}'`, { background: true, timeoutMs: 0 });
	await server.disconnect();
	for (let i = 0; i < 100 && !(await platform.request(sandbox.sandboxId, 3000)).ok; i++) await sleep(50);
	return sandbox;
}

test("a server dozes, sleeps by itself and answers as if nothing had been, with the right time", async () => {
	const rest = { "dormice.doze": "always", "dormice.dozeAfterMs": "1500", "dormice.sleepAfterMs": "6000" };
	const sandbox = await create(rest);
	const id = sandbox.sandboxId;
	await sandbox.commands.run(
		`sudo mkdir -p /etc/dormice/hooks && for hook in pre-sleep post-wake; do printf '#!/bin/sh\\necho $0 >> /tmp/told\\n' | sudo tee /etc/dormice/hooks/$hook > /dev/null; sudo chmod +x /etc/dormice/hooks/$hook; done`,
	);
	const first = await ask(id);
	assert.deepEqual(
		(await why(id)).awake.map(({ signal }) => signal),
		["recent"],
	);

	const dozing = await until(id, "it dozes", ({ rung }) => rung === "dozing");
	assert.deepEqual([dozing.state, dozing.awake], ["running", []]);
	assert.match(await platform.dormice("status"), /1 of them dozing/);
	assert.equal(await ask(id), first + 1);

	const asleep = await until(id, "it sleeps", ({ rung }) => rung === "asleep");
	assert.equal(asleep.state, "running");
	assert.equal((await Sandbox.getInfo(id, platform.client)).state, "running");
	assert.equal(await ask(id), first + 2);
	const woken = JSON.parse(await platform.dormice("why", id, "--json")) as Lifecycle;
	assert.deepEqual(
		woken.history.slice(0, 5).map(({ to, reason }) => `${to} ${reason}`),
		["running request", "waking request", "asleep idle", "checkpointing idle", "dozing idle"],
	);
	assert.ok((woken.timesMs.dozing ?? 0) >= 6_000 && (woken.timesMs.asleep ?? 0) > 0);
	const told = (await sandbox.commands.run("cat /tmp/told")).stdout;
	assert.equal(told, "/etc/dormice/hooks/pre-sleep\n/etc/dormice/hooks/post-wake\n");
	await sandbox.kill();
});

test("requests at random moments of dozing and falling are all answered, once each", async () => {
	const rest = { "dormice.doze": "always", "dormice.dozeAfterMs": "200", "dormice.sleepAfterMs": "300" };
	const sandbox = await create(rest);
	let last = await ask(sandbox.sandboxId);
	for (let i = 0; i < 25; i++) {
		await sleep(Math.random() * 1_500);
		assert.equal(await ask(sandbox.sandboxId), ++last);
	}
	await sandbox.kill();
});

test("a process that a client left running holds its sandbox awake", async () => {
	const sandbox = await create({ "dormice.dozeAfterMs": "500" });
	const held = await until(sandbox.sandboxId, "its server holds it", ({ awake }) => awake[0]?.signal === "process");
	assert.deepEqual([held.rung, held.awake.length], ["running", 1]);
	const [server] = await sandbox.commands.list();
	await sandbox.commands.run(`kill ${server?.pid}; nohup sleep 4 > /dev/null 2>&1 & exit 0`);
	assert.equal(
		(await until(sandbox.sandboxId, "its orphan holds it", ({ awake }) => /sleep 4/.test(awake[0]?.detail ?? ""))).rung,
		"running",
	);
	await until(sandbox.sandboxId, "it dozes", ({ rung }) => rung === "dozing");
	await sandbox.kill();
});

test("what dozes outlives a killed server, and answers", async () => {
	const sandbox = await create({ "dormice.doze": "always", "dormice.dozeAfterMs": "500", "dormice.sleepAfterMs": "0" });
	const id = sandbox.sandboxId;
	const first = await ask(id);
	await until(id, "it dozes", ({ rung }) => rung === "dozing");
	await platform.crash("server");
	await platform.healthy();
	await until(id, "it still dozes", ({ rung }) => rung === "dozing");
	assert.equal(await ask(id), first + 1);
	await sandbox.kill();
});
