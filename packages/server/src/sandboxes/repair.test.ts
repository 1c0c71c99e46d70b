import assert from "node:assert/strict";
import { test } from "node:test";
import type { SandboxState } from "@dormice/protocol";
import type { HostSandbox } from "../engine/engine.ts";
import { type Repair, repairOf } from "./repair.ts";

type Found = HostSandbox["state"] | "absent";

const FOUND: Found[] = ["running", "paused", "frozen", "stopped", "absent"];

/** What is done for each state of the row, by what the engine has, in the order of `FOUND`. */
const ROWS: [SandboxState, Repair[]][] = [
	["running", ["adopt", "resume", "adopt", "fail", "fail"]],
	["dozing", ["adopt", "resume", "adopt", "fail", "fail"]],
	["checkpointing", ["adopt", "resume", "thaw", "fail", "fail"]],
	["creating", ["discard", "discard", "discard", "discard", "discard"]],
	["waking", ["sleep", "sleep", "sleep", "sleep", "sleep"]],
	["failed", ["recover", "recover", "recover", "recover", "recover"]],
	["asleep", ["clear", "clear", "clear", "clear", "none"]],
	["killing", ["kill", "kill", "kill", "kill", "kill"]],
];

for (const [state, repairs] of ROWS) {
	test(`a row that says ${state}`, () => {
		const given = FOUND.map((found) =>
			repairOf({ state, recovering: false }, found === "absent" ? undefined : { state: found }),
		);
		assert.deepEqual(given, repairs);
	});
}

test("a recovery from its own disk keeps that disk", () => {
	assert.equal(repairOf({ state: "waking", recovering: true }, { state: "running" }), "fail_keeping_disk");
});
