import assert from "node:assert/strict";
import { test } from "node:test";
import { isTrusted, parseProxies } from "./proxies.ts";

for (const [setting, address, trusted] of [
	[undefined, "127.0.0.1", false],
	["127.0.0.1", "127.0.0.1", true],
	["127.0.0.1", "127.0.0.2", false],
	["10.0.0.0/8, ::1", "10.9.8.7", true],
	["10.0.0.0/8, ::1", "::1", true],
	["10.0.0.0/8", "::ffff:10.1.1.1", true],
	["fd00::/8", "fd12::1", true],
	["10.0.0.0/8", undefined, false],
] as const) {
	test(`${address} is ${trusted ? "" : "not "}trusted by ${setting}`, () =>
		assert.equal(isTrusted(parseProxies(setting), address), trusted));
}

for (const setting of ["localhost", "10.0.0.0/33", "10.0.0.0/8/8", "1.2.3", "10.0.0.0/", ","]) {
	test(`refused: ${setting}`, () => assert.throws(() => parseProxies(setting), { reason: "invalid_argument" }));
}
