import assert from "node:assert/strict";
import { test } from "node:test";
import { family, parseStat, startedByClients, usedBesides } from "./alive.ts";

test("a process's line is read whatever its name is, and a dead one is none", () => {
	const rest = `S 7 1 1 0 -1 0 0 0 0 0 1 2 3 4 20 0 1 0 4711 0 0`;
	assert.deepEqual(parseStat(`42 (a) (b c) ${rest}`), {
		pid: 42,
		parent: 7,
		cmd: "a) (b c",
		startTicks: 4711,
		cpu: { own: 3, children: 7 },
	});
	assert.equal(parseStat(`42 (x) Z 7 1`), undefined);
	assert.equal(parseStat(""), undefined);
});

test("clients' processes are those below init that are not its own, nor our helpers, nor the template's", () => {
	const at = (pid: number, parent: number, startTicks = 1) => ({
		pid,
		parent,
		cmd: `p${pid}`,
		startTicks,
		cpu: { own: 1, children: 2 },
	});
	const all = [
		at(1, 0), // init
		at(2, 1), // spawner
		at(3, 2), // supervisor
		at(4, 3), // a watch of its
		at(10, 2), // what a client started,
		at(11, 10), // its child,
		at(12, 1), // and an orphan
		at(20, 2, 5), // the template's,
		at(21, 20), // its child,
		at(22, 1, 9), // and a number that was the template's once
		at(99, 50), // of somewhere else
	];
	const template = new Map([
		[20, 5],
		[22, 5],
	]);
	const found = startedByClients(family(all, 1), { own: new Set([1, 2, 3]), helpersOf: 3, template });
	assert.deepEqual(
		found.map(({ pid }) => pid),
		[10, 11, 12, 22],
	);
});

test("CPU time is what others than us used, and what their children and ours used until they ended", () => {
	const used = (pid: number, own: number, children: number) => ({
		pid,
		parent: 1,
		cmd: "",
		startTicks: 1,
		cpu: { own, children },
	});
	assert.equal(usedBesides(new Set([1, 2]), [used(1, 500, 1), used(2, 700, 20), used(9, 300, 4_000)]), 43_210);
});
