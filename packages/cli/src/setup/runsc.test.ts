import assert from "node:assert/strict";
import { test } from "node:test";
import { isUsable } from "./runsc.ts";

const rows: [version: string, usable: boolean][] = [
	["0.0~20240729.0", true],
	["release-20241028.0", true],
	["0.0~20221219.0", false],
	["VERSION_MISSING", false],
];

for (const [version, usable] of rows) {
	test(`runsc ${version} is ${usable ? "" : "not "}usable`, () => {
		assert.equal(isUsable({ path: "/usr/bin/runsc", version }), usable);
	});
}
