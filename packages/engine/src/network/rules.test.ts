import assert from "node:assert/strict";
import { test } from "node:test";
import { SLOTS, slotAddresses } from "./rules.ts";

test("every slot has a /30 of its own inside the /16", () => {
	assert.deepEqual(slotAddresses("10.213", 0), { host: "10.213.0.1", router: "10.213.0.2" });
	assert.deepEqual(slotAddresses("10.213", 63), { host: "10.213.0.253", router: "10.213.0.254" });
	assert.deepEqual(slotAddresses("10.213", 64), { host: "10.213.1.1", router: "10.213.1.2" });
	assert.deepEqual(slotAddresses("10.213", SLOTS - 1), { host: "10.213.255.253", router: "10.213.255.254" });
});
