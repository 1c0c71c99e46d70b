import assert from "node:assert/strict";
import { test } from "node:test";
import { readWaitStatus } from "./ending.ts";
import { buildEnvironment } from "./environment.ts";

for (const [wait, exitCode, exited, status] of [
	[0, 0, true, "exit status 0"],
	[3 << 8, 3, true, "exit status 3"],
	[9, -1, false, "signal: killed"],
	[15, -1, false, "signal: terminated"],
	[11 | 0x80, -1, false, "signal: segmentation fault (core dumped)"],
	[40, -1, false, "signal: signal 40"],
] as const) {
	test(`the wait status ${wait} is '${status}'`, () => {
		const ending = readWaitStatus(wait);
		assert.deepEqual([ending.exitCode, ending.exited, ending.status], [exitCode, exited, status]);
		assert.equal(ending.error, wait === 0 ? undefined : status);
	});
}

const user = { name: "user", uid: 1, gid: 1, groups: [1], home: "/home/user", shell: "/bin/bash" };

test("later sources of the environment win, and the fixed ones always", () => {
	const environment = buildEnvironment({
		path: "/bin",
		user,
		sandbox: { A: "sandbox", B: "sandbox", HOME: "/other" },
		request: { B: "request", E2B_SANDBOX: "no" },
		fixed: { E2B_SANDBOX: "true" },
	});
	assert.deepEqual(Object.fromEntries(environment.map((pair) => pair.split("="))), {
		PATH: "/bin",
		HOME: "/other",
		USER: "user",
		LOGNAME: "user",
		SHELL: "/bin/bash",
		A: "sandbox",
		B: "request",
		E2B_SANDBOX: "true",
	});
	assert.equal(new Set(environment.map((pair) => pair.split("=")[0])).size, environment.length);
});

test("a name with '=' in it is refused", () => {
	const sources = { path: "/bin", user, sandbox: {}, request: { "A=B": "1" }, fixed: {} };
	assert.throws(() => buildEnvironment(sources), { reason: "invalid_argument" });
});
