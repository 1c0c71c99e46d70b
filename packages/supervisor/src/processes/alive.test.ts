import assert from "node:assert/strict";
import { test } from "node:test";
import { parseStat, startedByClients } from "./alive.ts";

test("a process's line is read whatever its name is, and a dead one is none", () => {
	const rest = `S 7 1 1 0 -1 0 0 0 0 0 1 2 3 4 20 0 1 0 4711 0 0`;
	assert.deepEqual(parseStat(`42 (a) (b c) ${rest}`), { pid: 42, parent: 7, cmd: "a) (b c", startTicks: 4711 });
	assert.equal(parseStat(`42 (x) Z 7 1`), undefined);
	assert.equal(parseStat(""), undefined);
});

test("clients' processes are those below init that are not its own, nor our helpers, nor the template's", () => {
	const at = (pid: number, parent: number, startTicks = 1) => ({ pid, parent, cmd: `p${pid}`, startTicks });
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
	const found = startedByClients(all, { root: 1, own: new Set([1, 2, 3]), helpersOf: 3, template });
	assert.deepEqual(
		found.map(({ pid }) => pid),
		[10, 11, 12, 22],
	);
});
