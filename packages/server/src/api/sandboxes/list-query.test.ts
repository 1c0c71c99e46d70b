import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeMetadata, decodeToken, encodeToken } from "./list-query.ts";

/** [what is left of the query after its own decoding, the pairs] */
const ROWS: [string | undefined, Record<string, string>][] = [
	[undefined, {}],
	["", {}],
	["a=b", { a: "b" }],
	// As the published client sends `{ "k y": "v&=1" }`.
	["k%2520y=v%2526%253D1", { "k y": "v&=1" }],
	["a=1&b=2&", { a: "1", b: "2" }],
	["a=b=c", { a: "b=c" }],
	["a=", { a: "" }],
	["a=1%252B1", { a: "1+1" }],
];
for (const [filter, pairs] of ROWS) {
	test(`metadata ${filter}`, () => assert.deepEqual(decodeMetadata(filter), pairs));
}
for (const filter of ["a", "a=%", "a=%25zz"]) {
	test(`no metadata: ${filter}`, () => assert.throws(() => decodeMetadata(filter), { reason: "invalid_argument" }));
}

test("a token brings back where a page ended", () => {
	const last = { startedAt: new Date("2026-11-22T03:04:05.678Z"), id: "iabcdefghij0123456789" };
	assert.deepEqual(decodeToken(encodeToken(last, "desc")), last);
	assert.deepEqual(decodeToken(encodeToken(last, "asc")), last);
	for (const token of ["", "x", Buffer.from("2026__x").toString("base64url")]) {
		assert.throws(() => decodeToken(token), { message: "Invalid next token" });
	}
});
