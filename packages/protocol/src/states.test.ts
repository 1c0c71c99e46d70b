import assert from "node:assert/strict";
import { test } from "node:test";
import { canMove, publicState, type SandboxState, TRANSITIONAL, TRANSITIONS } from "./states.ts";

const STATES = Object.keys(TRANSITIONS) as SandboxState[];

test("from every state a sandbox can be killed, and nothing leaves `gone`", () => {
	for (const state of STATES) {
		if (state === "gone") assert.deepEqual(TRANSITIONS[state], []);
		else if (state !== "killing") assert.ok(canMove(state, "killing"), state);
	}
});

test("every state but the first is reached, and no transitional one is a dead end", () => {
	for (const state of STATES) {
		if (state !== "creating")
			assert.ok(
				STATES.some((from) => canMove(from, state)),
				state,
			);
	}
	for (const state of TRANSITIONAL) assert.ok(TRANSITIONS[state].length > 0);
});

test("a sandbox that will answer reads as running, one that is being paused as paused", () => {
	const read = (unasked: boolean) => STATES.map((state) => publicState({ state, unasked }));
	assert.deepEqual(read(false), [
		...[undefined, "running", "running", "paused", "paused", "running", "running"],
		...[undefined, undefined],
	]);
	assert.deepEqual(read(true), [undefined, ...Array.from({ length: 6 }, () => "running"), undefined, undefined]);
});
