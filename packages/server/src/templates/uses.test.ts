import assert from "node:assert/strict";
import { test } from "node:test";
import type { Isolation } from "@dormice/protocol";
import { RecentUses, shares } from "./uses.ts";

const rows: [string, Isolation[], number, Partial<Record<Isolation, number>>][] = [
	["one for what is used most", ["gvisor", "microvm", "gvisor"], 1, { gvisor: 1 }],
	["one each where there are two", ["gvisor", "microvm", "gvisor"], 2, { gvisor: 1, microvm: 1 }],
	["the odd one for what is used most", ["gvisor", "microvm", "gvisor"], 3, { gvisor: 2, microvm: 1 }],
	["all for the only one", ["microvm"], 2, { microvm: 2 }],
	["none where none are kept", ["microvm"], 0, {}],
];
for (const [name, recent, count, expected] of rows) {
	test(`spares are shared out: ${name}`, () => assert.deepEqual(Object.fromEntries(shares(recent, count)), expected));
}

test("what was used long ago, or before many others, does not count", () => {
	const uses = new RecentUses();
	uses.note("t", "microvm", 0);
	uses.note("t", "gvisor", 3_000_000);
	assert.deepEqual(uses.of("t", 3_599_999), ["microvm", "gvisor"]);
	assert.deepEqual(uses.of("t", 3_600_000), ["gvisor"]);
	for (let i = 0; i < 16; i++) uses.note("t", "microvm", 3_000_001);
	assert.deepEqual(new Set(uses.of("t", 3_000_002)), new Set(["microvm"]));
	assert.deepEqual(uses.of("other"), []);
});
