import assert from "node:assert/strict";
import { test } from "node:test";
import { matchId } from "./sandbox-id.ts";

const IDS = ["iabc1", "iabd2", "ix"];
for (const [text, id] of [
	["iabc", "iabc1"],
	["ix", "ix"],
	["iz", "iz"],
] as const) {
	test(`'${text}' means ${id}`, () => assert.equal(matchId(IDS, text), id));
}

test("what fits several is refused, and names them", () => {
	assert.throws(() => matchId(IDS, "iab"), { reason: "invalid_argument", message: /2 sandboxes: iabc1, iabd2$/ });
});
