import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Sandbox } from "e2b";
import { json, TestGuest, until } from "../testing.ts";

let guest: TestGuest;
before(async () => {
	guest = await TestGuest.start();
});
after(() => guest[Symbol.asyncDispose]());

interface Told {
	running: boolean;
	exitCode?: number;
	startedMs: number;
	output: Record<string, { earliest: number; end: number }>;
}

const told = (pid: number) => json<Told>(guest.fetch(`/processes/${pid}`));
const background = { background: true, timeoutMs: 0 } as const;

async function start(command: string, options: { stdin?: boolean; timeoutMs?: number } = {}): Promise<number> {
	const sandbox = await guest.connect();
	const handle = await sandbox.commands.run(command, { ...background, ...options });
	await handle.disconnect();
	return handle.pid;
}

async function read(pid: number, from: number, started: number): Promise<string> {
	const response = await guest.fetch(`/processes/${pid}/output?from=${from}&started=${started}&follow=false`);
	assert.equal(response.status, 200, await response.clone().text());
	return response.text();
}

test("output goes on by offset over supervisors that are killed: no line is lost and none comes twice", async () => {
	// Bursts of more than fits into a pipe, and quiet between them to be killed in.
	const pid = await start(
		"for burst in 1 2 3 4; do seq $((burst * 20000 - 19999)) $((burst * 20000)); sleep 1; done; exit 7",
	);
	const { startedMs } = await told(pid);
	let text = "";
	for (let round = 0; round < 3; round++) {
		let end = -1;
		await until("quiet", async () => {
			const before = end;
			await sleep(50);
			end = (await told(pid)).output.stdout?.end ?? 0;
			return end > text.length && end === before;
		});
		// Some of it is read by a client, some only by the supervisor.
		if (round !== 1) text += await read(pid, text.length, startedMs);
		await guest.killSupervisor();
		assert.ok(text.length <= ((await told(pid)).output.stdout?.end ?? 0), "what somebody read is known");
	}
	await until("its end", async () => !(await told(pid)).running, 20_000);
	assert.equal((await told(pid)).exitCode, 7);
	text += await read(pid, text.length, startedMs);
	assert.equal(text, Array.from({ length: 80_000 }, (_, i) => `${i + 1}\n`).join(""));
	assert.equal(await read(pid, 0, startedMs), text);
});

test("what runs is listed, joined, fed, and told of the end of its input by the next supervisor", async () => {
	const pid = await start("cat; echo done; exit 3", { stdin: true });
	let sandbox = await guest.connect();
	await sandbox.commands.sendStdin(pid, "before\n");
	await until("the echo", async () => (await told(pid)).output.stdout?.end === 7);
	await guest.killSupervisor();
	sandbox = await guest.connect();
	assert.ok((await sandbox.commands.list()).some((one) => one.pid === pid && one.cmd === "/bin/bash"));
	const joined = await sandbox.commands.connect(pid, { timeoutMs: 0 });
	await joined.sendStdin("after\n");
	await sandbox.commands.closeStdin(pid);
	await assert.rejects(joined.wait(), { exitCode: 3, stdout: "after\ndone\n" });
	assert.equal(await read(pid, 0, (await told(pid)).startedMs), "before\nafter\ndone\n");
});

test("a terminal stays one", async () => {
	let sandbox: Sandbox = await guest.connect();
	let seen = "";
	const onData = (bytes: Uint8Array) => {
		seen += new TextDecoder().decode(bytes);
	};
	const { pid } = await sandbox.pty.create({ cols: 80, rows: 24, onData, timeoutMs: 0 });
	const type = (text: string) => sandbox.pty.sendInput(pid, new TextEncoder().encode(text));
	await type("remembered=yes\n");
	await until("the echo", () => seen.includes("remembered"));
	await guest.killSupervisor();
	seen = "";
	sandbox = await guest.connect();
	const joined = await sandbox.pty.connect(pid, { onData, timeoutMs: 0 });
	await sandbox.pty.resize(pid, { cols: 101, rows: 22 });
	await type("echo $remembered; stty size\n");
	await until("its answer", () => /yes\r\n22 101/.test(seen));
	await type("exit 4\n");
	await assert.rejects(joined.wait(), { exitCode: 4 });
});

test("the end of a process that ended while there was no supervisor is known, and its limit holds", async () => {
	const file = `${guest.directory}/dead`;
	const ended = await start(`echo good; while [ ! -e ${file} ]; do sleep 0.01; done; echo bye; exit 5`);
	const overdue = await start("sleep 60", { timeoutMs: 1_500 });
	await guest.killSupervisor(() => writeFileSync(file, ""));
	await until("its end", async () => (await told(ended)).exitCode === 5);
	assert.equal(await read(ended, 0, (await told(ended)).startedMs), "good\nbye\n");
	await until("the limit", async () => !(await told(overdue)).running);
	assert.equal((await told(overdue)).exitCode, -1);
});

test("what a process left behind may print on after its end, and the spawner keeps nothing of what is over", async () => {
	const file = `${guest.directory}/survivor`;
	const pid = await start(`(for i in 1 2 3 4; do sleep 0.3; echo late; done; echo alive > ${file}) & echo now`);
	await until("its end", async () => !(await told(pid)).running);
	await guest.killSupervisor();
	const sandbox = await guest.connect();
	const output = async (command: string) => (await sandbox.commands.run(command)).stdout.trim();
	await until("the survivor's file", async () => (await output(`cat ${file} 2>/dev/null || true`)) === "alive");
	await until("an empty table", async () => (await output(`ls /proc/${guest.pid}/fd | wc -l`)) === "7");
});
