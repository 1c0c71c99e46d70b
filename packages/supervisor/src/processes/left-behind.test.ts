import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Sandbox } from "e2b";
import { TestGuest, until } from "../testing.ts";

let guest: TestGuest;
let sandbox: Sandbox;
before(async () => {
	guest = await TestGuest.start();
	sandbox = await guest.connect();
});
after(() => guest[Symbol.asyncDispose]());

const output = async (command: string) => (await sandbox.commands.run(command)).stdout.trim();
const often = "while :; do echo x; sleep 0.02; done";

for (const [what, command, stdout, stderr] of [
	["writes often", `(${often}) & echo done`, /^(x\n)*done\n(x\n)*$/, /^$/],
	["writes often to standard error", `(${often}) >&2 & echo done`, /^done\n$/, /^(x\n)*$/],
	["writes often to both", `(while :; do echo x; echo x >&2; sleep 0.02; done) & echo done`, /done/, /^(x\n)*$/],
	["writes all the time", "yes x & echo done", /done\n/, /^$/],
	["writes all the time, after much of the shell's", "seq 60000 >&2; yes x & echo done", /done\n/, /^(\d+\n){60000}$/],
	["writes often, after much of the shell's", `seq 60000; (${often}) & echo done`, /^(\d+\n){60000}(x\n)*done/, /^$/],
	["writes only to the other", `echo err >&2; (${often}) & echo done`, /done\n/, /^err\n$/],
] as const) {
	test(`a background child that ${what} does not hold its shell's end`, async () => {
		const began = Date.now();
		const result = await sandbox.commands.run(`echo $$ > ${guest.directory}/shell; ${command}`, { timeoutMs: 60_000 });
		assert.ok(Date.now() - began < 30_000, `took ${Date.now() - began} ms`);
		assert.match(result.stdout, stdout);
		assert.match(result.stderr, stderr);
		await output(`kill -9 -- -$(cat ${guest.directory}/shell)`);
	});
}

test("what a shell's own pipes end a little later is still told", async () => {
	const result = await sandbox.commands.run("echo text > >(sleep 0.05; tr a-z A-Z)");
	assert.equal(result.stdout, "TEXT\n");
});

test("a slow reader gets all that was written before the end, though a child goes on", async () => {
	const headers = { "content-type": "application/connect+json", "connect-protocol-version": "1" };
	const script = "head -c 8000000 /dev/zero | tr '\\0' a; echo end; yes x & echo $!";
	const json = new TextEncoder().encode(JSON.stringify({ process: { cmd: "/bin/bash", args: ["-c", script] } }));
	const body = new Uint8Array(5 + json.length);
	new DataView(body.buffer).setUint32(1, json.length);
	body.set(json, 5);
	const answer = await guest.fetch("/process.Process/Start", { method: "POST", headers, body });
	await new Promise((resolve) => setTimeout(resolve, 1500));
	const events = (await answer.text()).matchAll(/"stdout":"([^"]*)"/g);
	const text = [...events].map(([, data = ""]) => Buffer.from(data, "base64").toString()).join("");
	assert.ok(text.startsWith(`${"a".repeat(8_000_000)}end\n`));
	assert.match(text.slice(8_000_000), /\n\d+\n/);
	await output(`kill -9 ${/\d+/.exec(text)?.[0]}`);
});

for (const [what, command, isTold] of [
	["in its foreground", "sleep 60", true],
	["in its foreground and takes no hang-up", "trap '' HUP; sleep 60", true],
	["in its foreground, without the terminal as input or output", "sleep 60 < /dev/null > /dev/null 2>&1", true],
	["in its background", "sleep 60 & echo", true],
	["stopped", "(sleep 0.1; kill -STOP $(pgrep -nx sleep)) & sleep 60", true],
	["started with nohup", "nohup sleep 60 > /dev/null 2>&1 & echo", false],
] as const) {
	test(`killing a terminal ${isTold ? "ends" : "leaves"} what is ${what}`, async () => {
		const terminal = await sandbox.pty.create({ cols: 80, rows: 24, onData: () => undefined, timeoutMs: 0 });
		const sleeps = () => output(`pgrep -x sleep -s ${terminal.pid} || true`);
		await sandbox.pty.sendInput(terminal.pid, new TextEncoder().encode(`${command}\n`));
		await until("the sleep", async () => (await sleeps()) !== "");
		const [pid] = (await sleeps()).split("\n");
		await new Promise((resolve) => setTimeout(resolve, 300));
		assert.equal(await sandbox.pty.kill(terminal.pid), true);
		const lives = async () => (await output(`kill -0 ${pid} 2> /dev/null && echo lives || true`)) === "lives";
		if (isTold) await until("its end", async () => !(await lives()));
		else assert.ok(await lives());
		await output(`kill -9 ${pid} 2> /dev/null || true`);
		assert.equal(await sandbox.pty.kill(terminal.pid), false);
	});
}

test("a terminal that outlives its limit ends what it runs", async () => {
	const terminal = await sandbox.pty.create({ cols: 80, rows: 24, onData: () => undefined, timeoutMs: 1000 });
	const ended = terminal.wait().catch(() => undefined);
	await sandbox.pty.sendInput(terminal.pid, new TextEncoder().encode("trap '' HUP; sleep 61\n"));
	await until("the sleep", async () => (await output(`pgrep -x sleep -s ${terminal.pid} || true`)) !== "");
	await ended;
	await until("its end", async () => (await output(`pgrep -x sleep -s ${terminal.pid} || true`)) === "");
});

for (const [what, act] of [
	["killed", (pid: number) => sandbox.commands.kill(pid)],
	["killed as a terminal", (pid: number) => sandbox.pty.kill(pid)],
] as const) {
	test(`a process that has ended a moment ago cannot be ${what}: it is not found`, async () => {
		for (let round = 0; round < 10; round++) {
			const handle = await sandbox.commands.run("(sleep 0.3 &); exit 0", { background: true });
			// It has ended, and its child holds the output.
			await until("its end", async () => (await output(`ls -d /proc/${handle.pid} 2> /dev/null || true`)) === "");
			assert.equal(await act(handle.pid), false);
		}
	});
}

test("of kills at the very moment of the end each says whether it was in time", async () => {
	const answers = new Set<unknown>();
	for (let round = 0; round < 30; round++) {
		const handle = await sandbox.commands.run("sleep 0.02", { background: true });
		await new Promise((resolve) => setTimeout(resolve, round));
		answers.add(await sandbox.commands.kill(handle.pid));
		await handle.wait().catch(() => undefined);
		assert.equal(await sandbox.commands.kill(handle.pid), false);
	}
	assert.ok([...answers].every((answer) => typeof answer === "boolean"));
});

test("a terminal that has ended cannot be resized or typed into: it is not found", async () => {
	const terminal = await sandbox.pty.create({ cols: 80, rows: 24, onData: () => undefined, timeoutMs: 0 });
	await sandbox.pty.sendInput(terminal.pid, new TextEncoder().encode("exit\n"));
	await terminal.wait();
	const missing = { name: /NotFound/ };
	await assert.rejects(sandbox.pty.resize(terminal.pid, { cols: 90, rows: 30 }), missing);
	await assert.rejects(sandbox.pty.sendInput(terminal.pid, new TextEncoder().encode("x")), missing);
});
