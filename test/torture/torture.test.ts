import assert from "node:assert/strict";
import { test } from "node:test";
import { OPERATIONS } from "./operations.ts";
import { torture } from "./torture.ts";

test("two minutes of torture: nothing lost, nothing left over", async (context) => {
	const say = (line: string) => context.diagnostic(line);
	const sizes = { subjects: 2, sandboxMiB: 256, filledPercent: 20, forks: 6 };
	const passed = await torture({ minutes: 2, seed: 1, ...sizes, isolation: undefined, say });
	assert.ok(passed >= OPERATIONS.length);
});
