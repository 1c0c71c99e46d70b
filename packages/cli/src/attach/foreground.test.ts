import assert from "node:assert/strict";
import { test } from "node:test";
import { ownsTerminal } from "./foreground.ts";

for (const [what, stat, expected] of [
	["in front", "42 (dormice) S 1 42 40 34816 42 0", true],
	["in the background", "42 (dormice) S 1 42 40 34816 41 0", false],
	["without a terminal", "42 (a) b) S 1 42 40 0 -1 0", false],
] as const) {
	test(`a process ${what}`, () => assert.equal(ownsTerminal(stat), expected));
}
