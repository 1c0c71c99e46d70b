import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import type { Sandbox } from "e2b";
import { TestGuest } from "../testing.ts";

let guest: TestGuest;
let sandbox: Sandbox;
before(async () => {
	guest = await TestGuest.start();
	sandbox = await guest.connect();
});
after(() => guest[Symbol.asyncDispose]());

const supervisors = () => readFileSync(`/proc/${guest.pid}/task/${guest.pid}/children`, "utf8").split(" ")[0];

/** As the wire has it, which takes more than the published client sends. */
function start(body: object): Promise<Response> {
	const json = new TextEncoder().encode(JSON.stringify(body));
	const message = new Uint8Array(5 + json.length);
	new DataView(message.buffer).setUint32(1, json.length);
	message.set(json, 5);
	const headers = { "content-type": "application/connect+json", "connect-protocol-version": "1" };
	return guest.fetch("/process.Process/Start", { method: "POST", headers, body: message });
}

const many = (count: number, length: number) => Array.from({ length: count }, () => "x".repeat(length));
const variables = (count: number, length: number) =>
	Object.fromEntries(Array.from({ length: count }, (_, i) => [`V${i}`, "x".repeat(length)]));

for (const [what, body, message] of [
	[
		"a command of 9 MB",
		{ cmd: "/bin/bash", args: ["-c", `: ${"x".repeat(9_000_000)}`] },
		/an argument of 9000002 bytes/,
	],
	["a command of 40 MB", { cmd: "/bin/bash", args: ["-c", "x".repeat(40_000_000)] }, /an argument of 40000000 bytes/],
	["a command one byte too long", { cmd: "/bin/echo", args: ["x".repeat(131_072)] }, /longer than the 131071/],
	["one of two-byte letters", { cmd: "/bin/echo", args: ["ä".repeat(65_536)] }, /longer than the 131071/],
	["a program's name of 1 MB", { cmd: "x".repeat(1_000_000) }, /an argument of 1000000 bytes/],
	[
		"a variable of 1 MB",
		{ cmd: "/bin/true", envs: { A: "x".repeat(1_000_000) } },
		/an environment variable of 1000002 bytes/,
	],
	["20 arguments of 130 kB", { cmd: "/bin/true", args: many(20, 130_000) }, /together more than the 2097152 bytes/],
	["300,000 small arguments", { cmd: "/bin/true", args: many(300_000, 1) }, /together more than/],
	["20 variables of 130 kB", { cmd: "/bin/true", envs: variables(20, 130_000) }, /together more than/],
	[
		"both, each of 1.2 MB",
		{ cmd: "/bin/true", args: many(10, 120_000), envs: variables(10, 120_000) },
		/together more/,
	],
	["a directory of 20 MB", { cmd: "/bin/true", cwd: `/${"x".repeat(20_000_000)}` }, /longer than 4095 bytes/],
	[
		"arguments that are long as JSON",
		{ cmd: "/bin/true", args: many(15, 130_000).map((text) => text.replaceAll("x", "\u0001")) },
		/the command's tag/,
	],
] as const) {
	test(`${what} is refused with what it may be, and nothing else notices`, async () => {
		const [supervisor, watched] = [supervisors(), await sandbox.commands.run("cat", { background: true, stdin: true })];
		const said = await (await start({ process: body })).text();
		assert.match(said, /"code":"invalid_argument"/);
		assert.match(said, message);
		await sandbox.commands.sendStdin(watched.pid, "still here\n");
		await sandbox.commands.closeStdin(watched.pid);
		assert.equal((await watched.wait()).stdout, "still here\n");
		assert.equal(supervisors(), supervisor);
	});
}

test("a tag of 20 MB is refused", async () => {
	const said = await (await start({ process: { cmd: "/bin/true" }, tag: "x".repeat(20_000_000) })).text();
	assert.match(said, /"code":"invalid_argument"/);
});

test("paths of 20 MB are refused, or are of nothing that is there", async () => {
	const path = `/${"x/".repeat(10_000_000)}`;
	const supervisor = supervisors();
	await assert.rejects(sandbox.files.list(path));
	await assert.rejects(sandbox.files.getInfo(path));
	await assert.rejects(sandbox.files.makeDir(path));
	await assert.rejects(sandbox.files.rename(path, "/tmp/x"));
	await assert.rejects(sandbox.files.watchDir(path, () => undefined));
	await assert.rejects(sandbox.files.write(path, "x"));
	assert.equal(supervisors(), supervisor);
});

test("what the kernel takes is started", async () => {
	const longest = await sandbox.commands.run(`: ${"x".repeat(131_069)}`);
	assert.equal(longest.exitCode, 0);
	const said = await (await start({ process: { cmd: "/bin/true", args: many(15, 130_000) } })).text();
	assert.match(said, /"exited":true/);
	await assert.rejects(sandbox.commands.run(": ".padEnd(9 << 20, "x")), { name: "InvalidArgumentError" });
});
