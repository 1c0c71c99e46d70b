import assert from "node:assert/strict";
import { test } from "node:test";
import { fromWire, typedFields } from "./words.ts";

test("an answer is in our words, at any depth; names that others chose stay", () => {
	assert.deepEqual(
		fromWire([
			{ sandboxID: "i1", memoryMB: 512, metadata: { sandboxID: "mine" }, fork: { generationIDs: ["g1"] } },
			null,
		]),
		[{ sandboxId: "i1", memoryMiB: 512, metadata: { sandboxID: "mine" }, fork: { generationIds: ["g1"] } }, null],
	);
});

test("numbers of a log entry are numbers, and what a guest wrote in their place is not", () => {
	assert.deepEqual(typedFields({ pid: "42", durationMs: "7", label: "12", port: "no" }), {
		pid: 42,
		durationMs: 7,
		label: "12",
		port: "no",
	});
});
