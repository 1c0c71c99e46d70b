import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { CommandExitError, type CommandStartOpts, InvalidArgumentError, type Sandbox, TimeoutError } from "e2b";
import { TestGuest, until } from "../testing.ts";

let guest: TestGuest;
let sandbox: Sandbox;
before(async () => {
	guest = await TestGuest.start();
	sandbox = await guest.connect();
});
after(() => guest[Symbol.asyncDispose]());

const run = (command: string, options: CommandStartOpts = {}) => sandbox.commands.run(command, options);
const start = (command: string, options: CommandStartOpts = {}) =>
	sandbox.commands.run(command, { ...options, background: true as const });
const output = async (command: string, options: CommandStartOpts = {}) => (await run(command, options)).stdout.trim();

test("standard output and error are real files, apart from each other", async () => {
	const result = await run("echo out; echo err >&2; echo again > /dev/stderr; echo fd > /proc/self/fd/1");
	assert.deepEqual([result.stdout, result.stderr, result.exitCode], ["out\nfd\n", "err\nagain\n", 0]);
});

for (const [command, exitCode, error] of [
	["exit 3", 3, "exit status 3"],
	["kill -9 $$", -1, "signal: killed"],
	["kill -TERM $$", -1, "signal: terminated"],
] as const) {
	test(`'${command}' ends with ${exitCode}`, async () => {
		const failure = await run(command).catch((error) => error);
		assert.ok(failure instanceof CommandExitError);
		assert.deepEqual([failure.exitCode, failure.error], [exitCode, error]);
	});
}

test("a process has its user's identity, home and environment", async () => {
	const script = "id -u; id -un; pwd; echo $HOME $USER $LOGNAME $A $E2B_SANDBOX; umask; cat /proc/self/oom_score_adj";
	const text = await output(script, {
		user: "games",
		cwd: "/tmp",
		envs: { A: "1", E2B_SANDBOX: "no", HOME: "/home/x" },
	});
	assert.deepEqual(text.split("\n"), ["5", "games", "/tmp", "/home/x games games 1 true", "0022", "100"]);
});

test("a relative directory is below the user's home", async () => {
	assert.equal(await output("pwd", { user: "daemon", cwd: "../lib" }), "/usr/lib");
});

test("children inherit no descriptor and no signal mask of ours", async () => {
	assert.equal(await output("ls /proc/self/fd | wc -l"), "4");
	assert.match(await output("cat /proc/self/status"), /SigBlk:\t0+\nSigIgn:\t0+\n/);
});

test("what cannot be started is refused with the reason", async () => {
	await assert.rejects(run("true", { cwd: "/nowhere" }), {
		name: "InvalidArgumentError",
		message: /cwd '\/nowhere' does not exist/,
	});
	await assert.rejects(run("true", { user: "nobody-knows" }), {
		name: "AuthenticationError",
		message: /invalid username: 'nobody-knows'/,
	});
	await assert.rejects(run("a\0b"), InvalidArgumentError);
});

test("a missing program is named", async () => {
	const answer = await startRaw({ process: { cmd: "/no/such" } });
	assert.match(
		answer,
		/"code":"invalid_argument","message":"error starting process '\/no\/such': no such file or directory"/,
	);
});

test("input reaches a program until it is closed", async () => {
	const handle = await start("cat; echo done", { stdin: true });
	await handle.sendStdin("a\n");
	await sandbox.commands.sendStdin(handle.pid, "b\n");
	await sandbox.commands.closeStdin(handle.pid);
	await sandbox.commands.closeStdin(handle.pid);
	assert.equal((await handle.wait()).stdout, "a\nb\ndone\n");
});

test("a process lives on without its client, is listed, joined and killed", async () => {
	const handle = await start("echo first; read line; echo got $line; sleep 60", {
		stdin: true,
		timeoutMs: 0,
	});
	await handle.disconnect();
	const listed = (await sandbox.commands.list()).find(({ pid }) => pid === handle.pid);
	assert.equal(listed?.cmd, "/bin/bash");
	let seen = "";
	const joined = await sandbox.commands.connect(handle.pid, {
		onStdout: (text) => {
			seen += text;
		},
		timeoutMs: 0,
	});
	await joined.sendStdin("x\n");
	await until("the answer", () => seen.includes("got x"));
	assert.equal(await sandbox.commands.kill(handle.pid), true);
	await assert.rejects(joined.wait(), { name: "CommandExitError" });
	assert.equal(await sandbox.commands.kill(handle.pid), false);
	assert.equal(
		(await sandbox.commands.list()).some(({ pid }) => pid === handle.pid),
		false,
	);
});

test("an ended process tells its end to whoever asks soon", async () => {
	const handle = await start("exit 5");
	await handle.wait().catch(() => undefined);
	const late = await sandbox.commands.connect(handle.pid);
	await assert.rejects(late.wait(), { name: "CommandExitError", exitCode: 5 });
});

test("a kill reaches the children too", async () => {
	const handle = await start("sleep 60 & sleep 60 & wait", { timeoutMs: 0 });
	const members = () => output(`pgrep -c -g ${handle.pid} || true`);
	await until("the children", async () => (await members()) === "3");
	await handle.kill();
	await until("their end", async () => (await members()) === "0");
});

test("the client's time limit is the process's life", async () => {
	const began = Date.now();
	await assert.rejects(run("echo $$ > /tmp/dormice-limit; sleep 60", { timeoutMs: 400 }), TimeoutError);
	assert.ok(Date.now() - began < 3000);
	const pid = await output("cat /tmp/dormice-limit; rm /tmp/dormice-limit");
	await until("its end", async () => (await output(`kill -0 ${pid} 2>/dev/null && echo alive || true`)) === "");
});

test("an overdue stream ends with deadline_exceeded, with or without its client's own clock", async () => {
	const answer = await startRaw({ process: { cmd: "/bin/sleep", args: ["60"] } }, { "connect-timeout-ms": "200" });
	assert.match(answer, /"code":"deadline_exceeded"/);
});

test("a background child that holds the output neither delays the end nor dies of it", async () => {
	const file = `${guest.directory}/survivor`;
	const began = Date.now();
	const result = await run(`(sleep 0.5; echo late; echo alive > ${file}) & echo now`);
	assert.ok(Date.now() - began < 450, `took ${Date.now() - began} ms`);
	assert.equal(result.stdout, "now\n");
	await until("the survivor's file", async () => (await output(`cat ${file} 2>/dev/null || true`)) === "alive");
});

test("all output arrives before the end, whatever its size", async () => {
	const result = await run("head -c 20000000 /dev/zero | tr '\\0' x; echo end >&2");
	assert.deepEqual([result.stdout.length, result.stderr], [20_000_000, "end\n"]);
});

test("a slow reader makes the process wait, and nothing grows", async () => {
	const abort = new AbortController();
	const body = frame({ process: { cmd: "/usr/bin/yes" }, stdin: false });
	const headers = { "content-type": "application/connect+json", "connect-protocol-version": "1" };
	const response = await guest.fetch("/process.Process/Start", { method: "POST", headers, body, signal: abort.signal });
	await response.body?.getReader().read();
	await new Promise((resolve) => setTimeout(resolve, 500));
	const yes = (await sandbox.commands.list()).find(({ cmd }) => cmd === "/usr/bin/yes");
	assert.ok(yes);
	const written = async () => Number(await output(`grep wchar /proc/${yes.pid}/io | cut -d' ' -f2`));
	const before = await written();
	await new Promise((resolve) => setTimeout(resolve, 200));
	assert.equal(await written(), before);
	assert.ok(before < 64 * 1024 * 1024, `${before} bytes`);
	abort.abort();
	// With nobody left to read, the output is dropped and the process goes on.
	await until("more output", async () => (await written()) > before);
	await sandbox.commands.kill(yes.pid);
});

test("a terminal is one: size, resize, input, control characters, hang-up", async () => {
	let seen = "";
	const onData = (bytes: Uint8Array) => {
		seen += new TextDecoder().decode(bytes);
	};
	const terminal = await sandbox.pty.create({ cols: 90, rows: 33, onData, timeoutMs: 0 });
	const type = (text: string) => sandbox.pty.sendInput(terminal.pid, new TextEncoder().encode(text));
	await type("stty size; tty; echo $TERM\n");
	await until(
		"the size",
		() => seen.includes("33 90") && seen.includes("/dev/pts/") && seen.includes("xterm-256color"),
	);
	await sandbox.pty.resize(terminal.pid, { cols: 101, rows: 22 });
	await type("stty size\n");
	await until("the new size", () => seen.includes("22 101"));
	const children = () => output(`pgrep -c -P ${terminal.pid} || true`);
	await type("sleep 60\n");
	await until("the sleep", async () => (await children()) === "1");
	await type("\x03");
	await until("its interruption", async () => (await children()) === "0");
	await assert.rejects(sandbox.commands.closeStdin(terminal.pid), /terminal/);
	await type("exit 7\n");
	await assert.rejects(terminal.wait(), { name: "CommandExitError", exitCode: 7 });
});

test("a terminal can be left, joined and killed", async () => {
	const terminal = await sandbox.pty.create({
		cols: 80,
		rows: 24,
		onData: () => undefined,
		user: "games",
		cwd: "/tmp",
	});
	await terminal.disconnect();
	let seen = "";
	const joined = await sandbox.pty.connect(terminal.pid, {
		onData: (bytes) => {
			seen += new TextDecoder().decode(bytes);
		},
	});
	await sandbox.pty.sendInput(joined.pid, new TextEncoder().encode("id -un; pwd\n"));
	await until("the user", () => /games\r\n\/tmp/.test(seen));
	assert.equal(await sandbox.pty.kill(terminal.pid), true);
	await assert.rejects(joined.wait());
});

test("keepalives come while nothing else does", async () => {
	const answer = await startRaw({ process: { cmd: "/bin/sleep", args: ["1.3"] } }, { "keepalive-ping-interval": "1" });
	assert.equal(answer.match(/keepalive/g)?.length, 1);
	assert.match(answer, /"exited":true,"status":"exit status 0"/);
});

test("many at once all end", async () => {
	const results = await Promise.all(Array.from({ length: 40 }, (_, i) => output(`echo ${i}`)));
	assert.deepEqual(
		results,
		Array.from({ length: 40 }, (_, i) => String(i)),
	);
	// Two of these are of the command that counts them.
	const held = () => output(`ls /proc/${guest.pid}/fd | wc -l`);
	await until("the spawner holds nothing of what has ended", async () => (await held()) === "7");
});

function frame(message: unknown): Uint8Array<ArrayBuffer> {
	const json = new TextEncoder().encode(JSON.stringify(message));
	const bytes = new Uint8Array(5 + json.length);
	new DataView(bytes.buffer).setUint32(1, json.length);
	bytes.set(json, 5);
	return bytes;
}

async function startRaw(message: unknown, extra: Record<string, string> = {}): Promise<string> {
	const headers = { "content-type": "application/connect+json", "connect-protocol-version": "1", ...extra };
	const response = await guest.fetch("/process.Process/Start", { method: "POST", headers, body: frame(message) });
	return response.text();
}
