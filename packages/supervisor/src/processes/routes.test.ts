import assert from "node:assert/strict";
import { get, type IncomingMessage } from "node:http";
import { after, before, test } from "node:test";
import type { Sandbox } from "e2b";
import { json, TestGuest, until } from "../testing.ts";

let guest: TestGuest;
let sandbox: Sandbox;
before(async () => {
	guest = await TestGuest.start();
	sandbox = await guest.connect();
});
after(() => guest[Symbol.asyncDispose]());

const start = (command: string) => sandbox.commands.run(command, { background: true, timeoutMs: 0 });
const output = (pid: number, query = "") => guest.fetch(`/processes/${pid}/output${query}`);

test("output is read from any offset, also after the end, and ends with the exit code", async () => {
	const { pid } = await start("seq 1 20000; echo problem >&2; exit 3");
	const whole = Array.from({ length: 20_000 }, (_, i) => `${i + 1}\n`).join("");
	assert.equal(await (await output(pid)).text(), whole);
	assert.equal(await (await output(pid, "?from=88894")).text(), whole.slice(88_894));
	assert.equal(await (await output(pid, `?from=${whole.length}`)).text(), "");
	assert.equal(await (await output(pid, "?stream=stderr&from=3")).text(), "blem\n");
	const answer = await new Promise<IncomingMessage>((resolve) => get(`${guest.url}/processes/${pid}/output`, resolve));
	await answer.resume().toArray();
	assert.deepEqual(answer.trailers, { "dormice-exit-code": "3", "dormice-exit-status": "exit status 3" });
	const info = await json<Record<string, unknown>>(guest.fetch(`/processes/${pid}`));
	assert.deepEqual(
		[info.running, info.exitCode, info.output],
		[false, 3, { stdout: { earliest: 0, end: whole.length }, stderr: { earliest: 0, end: 8 } }],
	);
	const { startedMs } = info;
	assert.equal((await output(pid, `?started=${startedMs}`)).headers.get("dormice-process-started"), String(startedMs));
	assert.equal((await output(pid, "?started=1")).status, 404);
});

test("who follows reads on as it comes, and may leave and come back", async () => {
	const { pid } = await start("for i in $(seq 1 60); do echo $i; sleep 0.02; done");
	let text = "";
	while (!text.endsWith("60\n")) {
		const abort = new AbortController();
		const answer = await guest.fetch(`/processes/${pid}/output?from=${text.length}`, { signal: abort.signal });
		assert.equal(answer.headers.get("dormice-output-from"), String(text.length));
		for await (const piece of answer.body ?? []) {
			text += new TextDecoder().decode(piece);
			if (Math.random() < 0.2) break;
		}
	}
	assert.equal(text, Array.from({ length: 60 }, (_, i) => `${i + 1}\n`).join(""));
	const now = await output(pid, "?follow=false");
	assert.equal(await now.text(), text);
});

test("a terminal's output is kept too", async () => {
	const terminal = await sandbox.pty.create({ cols: 80, rows: 24, onData: () => undefined });
	await terminal.disconnect();
	await sandbox.pty.sendInput(terminal.pid, new TextEncoder().encode("echo one$((1))two; exit\n"));
	assert.match(await (await output(terminal.pid)).text(), /one1two/);
});

test("refusals", async () => {
	const { pid } = await start("echo hello; sleep 30");
	await until("the output", async () => {
		const { output } = await json<{ output: { stdout: { end: number } } }>(guest.fetch(`/processes/${pid}`));
		return output.stdout.end === 6;
	});
	const refused = async (path: string) => {
		const answer = await guest.fetch(path);
		return [answer.status, (await json<{ reason?: string }>(answer)).reason];
	};
	assert.deepEqual(await refused(`/processes/${pid}/output?from=7`), [416, "output_out_of_range"]);
	assert.deepEqual(await refused(`/processes/${pid}/output?stream=pty`), [400, "invalid_argument"]);
	assert.deepEqual(await refused(`/processes/${pid}/output?from=-1`), [400, "invalid_argument"]);
	assert.deepEqual(await refused("/processes/999999999/output"), [404, "process_not_found"]);
	assert.deepEqual(await refused("/processes/x/output"), [404, undefined]);
	assert.deepEqual(await refused(`/processes/${pid}/output/more`), [404, undefined]);
	await sandbox.commands.kill(pid);
});

test("what nobody may see without the token", async () => {
	await using other = await TestGuest.start();
	await other.tell("/init", { method: "POST", body: JSON.stringify({ accessToken: "secret" }) });
	for (const path of ["/processes", "/processes/1", "/processes/1/output"]) {
		assert.equal((await other.fetch(path)).status, 401);
	}
	assert.equal((await other.fetch("/processes", { headers: { "x-access-token": "secret" } })).status, 200);
});
