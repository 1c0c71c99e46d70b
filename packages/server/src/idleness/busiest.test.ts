import assert from "node:assert/strict";
import { test } from "node:test";
import { spinning, usedBetween } from "./busiest.ts";

const at = (atMs: number, ...processes: [pid: number, cmd: string, cpuMs: number][]) => ({
	atMs,
	processes: processes.map(([pid, cmd, cpuMs]) => ({ pid, cmd, cpuMs })),
});

test("who used what, most first; who came between is not known yet", () => {
	const before = at(1_000, [4, "supervisor", 100], [7, "node", 50], [8, "idle", 30]);
	const now = at(2_000, [4, "supervisor", 110], [7, "node", 800], [8, "idle", 30], [9, "new", 500]);
	assert.deepEqual(usedBetween(before, now), [
		{ pid: 7, cmd: "node", percent: 75 },
		{ pid: 4, cmd: "supervisor", percent: 1 },
	]);
});

for (const [what, before, now, spins] of [
	["a supervisor without a request", at(5_000, [4, "supervisor", 100]), at(6_000, [4, "supervisor", 1_050]), 4],
	["a supervisor that is only warm", at(5_000, [4, "supervisor", 100]), at(6_000, [4, "supervisor", 300]), undefined],
	["a program at it since the wake", at(5_000, [7, "node", 5_000]), at(6_000, [7, "node", 5_990]), 7],
	["a program that began later", at(5_000, [7, "node", 100]), at(6_000, [7, "node", 1_090]), undefined],
	["a program that works half the time", at(5_000, [7, "node", 5_000]), at(6_000, [7, "node", 5_500]), undefined],
] as const) {
	test(`${what} ${spins === undefined ? "does not seem to spin" : "seems to spin"}`, () =>
		assert.equal(spinning(before, now, 0)?.pid, spins));
}
