import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fromConnectError, toConnectError } from "./connect-errors.ts";
import { DormiceError, REASONS, type Reason } from "./errors.ts";

test("docs/errors.md and the registry name the same reasons with the same statuses", () => {
	const text = readFileSync(new URL("../../../docs/errors.md", import.meta.url), "utf8");
	const documented = [...text.matchAll(/^\| `(\w+)` \| (\d+) \|/gm)].map(([, reason, status]) => `${reason} ${status}`);
	const registered = Object.entries(REASONS).map(([reason, { status }]) => `${reason} ${status}`);
	assert.deepEqual(documented.sort(), registered.sort());
});

test("a reason survives the way over the wire and back", () => {
	for (const reason of Object.keys(REASONS) as Reason[]) {
		const back = fromConnectError(toConnectError(new DormiceError(reason, "why")), "internal");
		assert.deepEqual([back.reason, back.message], [reason, "why"]);
	}
});

test("who gave no reason gets the one that the caller fears", () => {
	assert.equal(fromConnectError(new Error("connect ENOENT"), "engine_unavailable").reason, "engine_unavailable");
});
