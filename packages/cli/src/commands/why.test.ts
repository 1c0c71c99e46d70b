import assert from "node:assert/strict";
import { test } from "node:test";
import { duration } from "../output.ts";
import { describe } from "./why.ts";

test("why says in sentences what is so", () => {
	const now = Date.parse("2026-01-31T12:00:00Z");
	const lines = describe(
		{
			isolation: "gvisor",
			sandboxId: "i1",
			rung: "dozing",
			since: "2026-01-31T11:58:00Z",
			state: "running",
			rest: { doze: "always", dozeAfterMs: 15_000, sleepAfterMs: 600_000 },
			awake: [],
			busiest: [],
			sleepsAt: "2026-01-31T12:08:00Z",
			timesMs: { running: 1_500, dozing: 120_000 },
			history: [],
		},
		now,
	);
	assert.deepEqual(lines, [
		"i1 is dozing for 2 min; its state is running.",
		"It falls asleep in 8 min if nobody comes.",
		"It dozes after 15 s of quiet, whatever processes it has, and falls asleep after 10 min of that.",
		"Time on each rung: running 1.5 s, dozing 2 min.",
	]);
});

test("a duration is told in its largest unit", () => {
	assert.deepEqual([0, 12.4, 1_500, 90_000, 7_200_000, 864_000_000].map(duration), [
		...["0 ms", "12 ms", "1.5 s", "1.5 min", "2 h", "10 d"],
	]);
});
