import assert from "node:assert/strict";
import { test } from "node:test";
import { newId } from "@dormice/protocol";
import { checkId, checkIsolation, checkLimits, checkText } from "./validate.ts";

const good = { cpuCount: 2, memoryMib: 1024, diskMib: 1024, pids: 100 };

const refused: [string, () => unknown][] = [
	["a path as an id", () => checkId("sandbox", "../../../../etc/passwd")],
	["a prefix of an id", () => checkId("sandbox", newId("sandbox").slice(0, -1))],
	["an id with something after it", () => checkId("sandbox", `${newId("sandbox")}\n`)],
	["an id of another kind", () => checkId("generation", newId("sandbox"))],
	["a root file system with a slash", () => checkId("rootfs", "a/b-0123456789abcdef")],
	["no limits", () => checkLimits(undefined)],
	["no memory", () => checkLimits({ ...good, memoryMib: 0 })],
	["more CPUs than any host has", () => checkLimits({ ...good, cpuCount: 4096 })],
	["a disk smaller than its file system", () => checkLimits({ ...good, diskMib: 1 })],
	["a text that writes lines", () => checkText("reason", "a\nb")],
	["an isolation there is not", () => checkIsolation("none")],
];

for (const [name, check] of refused) {
	test(`refused at the socket: ${name}`, () => {
		assert.throws(check, { reason: "invalid_argument" });
	});
}

test("what the server sends is accepted", () => {
	assert.equal(checkId("sandbox", newId("sandbox")).length, 21);
	assert.deepEqual(checkLimits(good), { cpuCount: 2, memoryMiB: 1024, diskMiB: 1024, pids: 100 });
});
