import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { TestGuest } from "../testing.ts";
import { withOwnName } from "./hosts.ts";

for (const [what, before, after] of [
	["none", "", "127.0.1.1 new\n"],
	["the usual lines", "127.0.0.1 localhost\n::1 localhost\n", "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 new\n"],
	["another sandbox's name", "127.0.1.1 old\n10.0.0.9 db\n", "127.0.1.1 new\n10.0.0.9 db\n"],
	["its own name", "127.0.0.1 localhost\n127.0.1.1 new\n", "127.0.0.1 localhost\n127.0.1.1 new\n"],
	["no end of its last line", "127.0.0.1 localhost", "127.0.0.1 localhost\n127.0.1.1 new\n"],
	["a similar address", "127.0.1.10 other\n", "127.0.1.10 other\n127.0.1.1 new\n"],
] as const) {
	test(`a file of hosts with ${what} gets the sandbox's name`, () => assert.equal(withOwnName(before, "new"), after));
}

test("a sandbox that is told its name finds it", async () => {
	await using guest = await TestGuest.start();
	const etc = join(guest.directory, "etc");
	mkdirSync(etc);
	writeFileSync(join(etc, "hosts"), "127.0.0.1 localhost\n");
	// The machine's own, so that the test changes nothing of it.
	const body = JSON.stringify({ hostname: hostname() });
	assert.equal((await guest.tell("/init", { method: "POST", body })).status, 204);
	assert.equal(readFileSync(join(etc, "hosts"), "utf8"), `127.0.0.1 localhost\n127.0.1.1 ${hostname()}\n`);
});
