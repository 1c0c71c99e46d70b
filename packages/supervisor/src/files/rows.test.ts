import assert from "node:assert/strict";
import { test } from "node:test";
import { negotiateEncoding } from "./encoding.ts";
import { metadataOf } from "./metadata.ts";
import { checkSignature, sign } from "./signature.ts";

const TOKEN = "0tQG31xiMp0IOQfaz9dcwi72L1CPo8e0";
const PART = { path: "hello.txt", operation: "read", user: "user" } as const;

test("a signature is what E2B's clients compute", () => {
	assert.equal(sign(PART, TOKEN), "v1_gUtH/s9YCJWgCizjfUxuWfhFE4QSydOWEIIvfLwDr6E");
});

for (const [what, part, signature, message] of [
	["nothing", PART, undefined, "missing signature query parameter"],
	["another operation's", { ...PART, operation: "write" as const }, sign(PART, TOKEN), "invalid signature"],
	["another path's", { ...PART, path: "other" }, sign(PART, TOKEN), "invalid signature"],
	["one with its expiration taken off", PART, sign({ ...PART, expiration: "1000" }, TOKEN), "invalid signature"],
	[
		"an old one",
		{ ...PART, expiration: "1000" },
		sign({ ...PART, expiration: "1000" }, TOKEN),
		"signature is already expired",
	],
] as const) {
	test(`as signature, ${what} is refused: ${message}`, () => {
		assert.throws(() => checkSignature(part, signature, TOKEN, 2_000_000), { reason: "unauthenticated", message });
	});
}

for (const expiration of [
	"",
	"abc",
	"NaN",
	"1e400",
	"1e12",
	"Infinity",
	"0x7fffffffff",
	"-1",
	"+9999999999",
	" 9999999999",
	"9999999999 ",
	"9999999999.5",
	"9".repeat(13),
	"９９９９９９９９９９",
]) {
	test(`the expiration '${expiration}' is refused, however well it is signed`, () => {
		const part = { ...PART, expiration };
		const message = "signature_expiration must be Unix seconds in decimal digits";
		assert.throws(() => checkSignature(part, sign(part, TOKEN), TOKEN, 0), { reason: "unauthenticated", message });
	});
}

test("metadata is taken from its headers only", () => {
	const headers = { "x-metadata-kind": "report", "x-metadata-n": "1", "content-type": "text/plain" };
	assert.deepEqual(metadataOf(headers), { kind: "report", n: "1" });
});

for (const [what, headers] of [
	["a long key", { [`x-metadata-${"k".repeat(247)}`]: "1" }],
	["much", { "x-metadata-a": "x".repeat(2100), "x-metadata-b": "x".repeat(2100) }],
	["other characters", { "x-metadata-a": "é" }],
	["no key", { "x-metadata-": "1" }],
] as const) {
	test(`metadata with ${what} is refused`, () => {
		assert.throws(() => metadataOf(headers), { reason: "invalid_argument" });
	});
}

for (const [accept, encoding] of [
	[undefined, "identity"],
	["", "identity"],
	["gzip", "gzip"],
	["x-gzip;q=0.5", "gzip"],
	["gzip, deflate", "identity"],
	["gzip, deflate, br, zstd", "identity"],
	["gzip, identity", "identity"],
	["gzip;q=1, identity;q=0.5", "gzip"],
	["gzip, br, identity;q=0", "gzip"],
	["gzip;q=0.5, *;q=0", "gzip"],
	["*, identity;q=0", "gzip"],
	["gzip;q=0", "identity"],
	["gzip;q=0.5, identity;q=0.9", "identity"],
	["br", "identity"],
	["br, identity;q=0", undefined],
	["*", "identity"],
	["*;q=0", undefined],
] as const) {
	test(`Accept-Encoding: ${accept} is answered in ${encoding}`, () =>
		assert.equal(negotiateEncoding(accept), encoding));
}
