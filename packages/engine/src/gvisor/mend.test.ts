import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { loadConfig } from "../config.ts";
import { findGoFunctions } from "./go-program.ts";
import { mend, needsMending } from "./mend.ts";

const { runsc } = loadConfig();

test("the installed gVisor is mended by one return and four jumps, once", () => {
	const installed = readFileSync(runsc);
	const mended = Buffer.from(installed);
	assert.equal(mend(mended), true);
	const changed = [...installed.entries()].filter(([i, byte]) => byte !== mended[i]);
	assert.ok(changed.length > 1 + 4 && changed.length <= 1 + 4 * 5, `${changed.length} bytes`);
	assert.equal(mend(mended), true, "what is mended stays so");
});

for (const [what, program] of [
	["no program", Buffer.from("#!/bin/sh\n")],
	["nothing", Buffer.alloc(0)],
	["a program that is not Go's", readFileSync("/bin/true")],
] as const) {
	test(`${what} has no functions of Go's, and is left as it is`, () => {
		assert.equal(findGoFunctions(program, ["main.main"]).get("main.main"), undefined);
		assert.equal(mend(Buffer.from(program)), false);
	});
}

for (const [version, needed] of [
	["0.0~20240729.0", true],
	["release-20260330.0", true],
	["release-20260406.0", false],
	["unknown", true],
] as const) {
	test(`${version} ${needed ? "is" : "is not"} mended`, () => assert.equal(needsMending(version), needed));
}
