import assert from "node:assert/strict";
import { test } from "node:test";
import { parseEntry } from "./download.ts";
import { parsePlace } from "./place.ts";

for (const [text, place] of [
	["iabc:/etc/hosts", { sandbox: "iabc", path: "/etc/hosts" }],
	["iabc:", { sandbox: "iabc", path: "." }],
	["iabc:a:b", { sandbox: "iabc", path: "a:b" }],
	["./a:b", { path: "./a:b" }],
	["file", { path: "file" }],
] as const) {
	test(`'${text}' is ${JSON.stringify(place)}`, () => assert.deepEqual(parsePlace(text), place));
}

test("what a sandbox lists is below the place it is for, or nothing is taken of it", () => {
	assert.deepEqual(parseEntry("f 755 a/b c\nd"), { type: "f", mode: 0o755, path: "a/b c\nd" });
	assert.deepEqual(parseEntry("d 700 "), { type: "d", mode: 0o700, path: "" });
	for (const line of ["f 644 ../x", "f 644 a/../../x", "f 644 /etc/passwd", "f 644", ""]) {
		assert.throws(() => parseEntry(line), { reason: "invalid_argument" }, line);
	}
});
