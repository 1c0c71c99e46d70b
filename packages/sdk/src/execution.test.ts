import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { exitCodeOf, shellArguments } from "./execution.ts";
import { inOrder } from "./in-order.ts";

test("a vector reaches the program as it is; a line is the shell's", () => {
	const run = (command: string | string[]) => execFileSync("/bin/bash", shellArguments(command), { encoding: "utf8" });
	assert.equal(run(["printf", "%s|", "a b", "$HOME", "'"]), "a b|$HOME|'|");
	assert.equal(run("printf '%s|' a b | tr a x"), "x|b|");
});

const ends: [what: string, end: Parameters<typeof exitCodeOf>[0], code: number][] = [
	["normal", { exitCode: 3, exited: true, status: "exit status 3" }, 3],
	["killed", { exitCode: -1, exited: false, status: "signal: killed" }, 137],
	["terminated", { exitCode: -1, exited: false, status: "signal: terminated" }, 143],
	["interrupted", { exitCode: -1, exited: false, status: "signal: interrupt" }, 130],
	["its pipe broke", { exitCode: -1, exited: false, status: "signal: broken pipe" }, 141],
	["crashed", { exitCode: -1, exited: false, status: "signal: segmentation fault (core dumped)" }, 139],
	["a signal without a name", { exitCode: -1, exited: false, status: "signal: signal 40" }, 168],
];
for (const [what, end, code] of ends) {
	test(`exit code of an end: ${what}`, () => assert.equal(exitCodeOf(end), code));
}

test("what is typed while a request is under way goes in one piece, in order", async () => {
	const sent: string[] = [];
	const write = inOrder(async (data) => {
		sent.push(new TextDecoder().decode(data));
		await new Promise((resolve) => setTimeout(resolve, 5));
	});
	const type = (text: string) => write(new TextEncoder().encode(text));
	await Promise.all([type("a"), type("b"), type("c")]);
	await type("d");
	assert.deepEqual(sent, ["a", "bc", "d"]);
});

test("after what could not be sent nothing is sent any more", async () => {
	const sent: string[] = [];
	const write = inOrder(async (data) => {
		const text = new TextDecoder().decode(data);
		if (text === "b") throw new Error("lost");
		sent.push(text);
	});
	const type = (text: string) => write(new TextEncoder().encode(text));
	await type("a");
	await assert.rejects(type("b"), /lost/);
	await assert.rejects(type("c"), /lost/);
	assert.deepEqual(sent, ["a"]);
});
