import assert from "node:assert/strict";
import { test } from "node:test";
import { CPU_NEAR_ZERO_PERCENT, type Sight, signalsOf } from "./signals.ts";

const NOW = 1_000_000;
const quiet: Sight = {
	rest: { doze: "idle", dozeAfterMs: 15_000, sleepAfterMs: 0 },
	busy: 0,
	turnedAtMs: NOW - 20_000,
	cpu: { percent: 6, sinceMs: NOW - 15_000 },
	processes: [],
	processesSinceMs: NOW - 20_000,
	stateSinceMs: NOW - 60_000,
};
const server = { pid: 7, cmd: "node", startedAt: new Date(NOW - 50_000) };

/** [what is so, what of it differs from quiet, the signals and since how long] */
const ROWS: [string, Partial<Sight>, [string, number][]][] = [
	["nothing", {}, []],
	["an open request", { busy: 1, turnedAtMs: NOW - 300 }, [["request", 300]]],
	["one that ended just now", { turnedAtMs: NOW - 300 }, [["recent", 300]]],
	["work", { cpu: { percent: CPU_NEAR_ZERO_PERCENT, sinceMs: NOW - 9_000 } }, [["cpu", 9_000]]],
	["a client's process", { processes: [server] }, [["process", 50_000]]],
	["an orphan", { processes: [{ pid: 8, cmd: "x", startedAt: undefined }] }, [["process", 20_000]]],
	["a supervisor that is silent", { processes: undefined }, [["silent", 20_000]]],
	["dozing at any rate", { rest: { ...quiet.rest, doze: "always" }, processes: [server] }, []],
	["no dozing at all", { rest: { ...quiet.rest, dozeAfterMs: 0 } }, [["setting", 60_000]]],
	[
		"several",
		{ busy: 2, processes: [server] },
		[
			["request", 20_000],
			["process", 50_000],
		],
	],
];
for (const [what, differs, expected] of ROWS) {
	test(`what holds a sandbox awake: ${what}`, () => {
		const signals = signalsOf({ ...quiet, ...differs }, NOW);
		assert.deepEqual(
			signals.map(({ signal, since }) => [signal, NOW - since.getTime()]),
			expected,
		);
	});
}
