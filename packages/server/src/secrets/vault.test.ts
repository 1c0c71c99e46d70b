import assert from "node:assert/strict";
import { test } from "node:test";
import { DormiceError } from "@dormice/protocol";
import { type Sealed, Vault } from "./vault.ts";

const KEY = "a1".repeat(32);
const PLACE = { table: "sandboxes", column: "env_vars", row: "one" };
const TEXT = 'a "secret" with ünïcode 🐭';

const reasonOf = (run: () => unknown): string => {
	try {
		run();
	} catch (error) {
		if (error instanceof DormiceError) return error.reason;
		throw error;
	}
	return "none";
};

test("what is sealed opens again, also with a vault made later, and reads like nothing it holds", () => {
	for (const text of ["", TEXT, "x".repeat(100_000)]) {
		const sealed = new Vault(KEY).seal(text, PLACE);
		assert.equal(new Vault(KEY).open(sealed, PLACE), text);
		assert.match(sealed, /^v1\.[0-9a-f]{16}\.[\w-]+$/);
		assert.ok(text === "" || !sealed.includes(text));
		assert.ok(!sealed.includes(KEY));
	}
	const vault = new Vault(KEY);
	assert.notEqual(vault.seal(TEXT, PLACE), vault.seal(TEXT, PLACE));
});

const swaps: Record<string, Partial<typeof PLACE>> = {
	"another row": { row: "two" },
	"another column": { column: "access_token" },
	"another table": { table: "snapshots" },
	"names that only read the same together": { table: "sandbox", column: "senv_vars" },
};
for (const [name, other] of Object.entries(swaps)) {
	test(`what is sealed does not open in ${name}`, () => {
		const vault = new Vault(KEY);
		const sealed = vault.seal(TEXT, PLACE);
		assert.equal(
			reasonOf(() => vault.open(sealed, { ...PLACE, ...other })),
			"internal",
		);
	});
}

test("what was changed anywhere does not open", () => {
	const vault = new Vault(KEY);
	const sealed = vault.seal(TEXT, PLACE);
	const [version, keyId, body = ""] = sealed.split(".");
	const changed = Array.from(body, (letter, at) => {
		// The last letter may hold bits that stand for nothing.
		if (at === body.length - 1) return sealed.slice(0, -2);
		return `${version}.${keyId}.${body.slice(0, at)}${letter === "A" ? "B" : "A"}${body.slice(at + 1)}`;
	});
	const others = ["", `v1.${keyId}`, `v1.${keyId}.`, `v2.${keyId}.${body}`, TEXT, '{"A":"1"}'];
	for (const text of [...changed, ...others]) {
		assert.equal(
			reasonOf(() => vault.open(text as Sealed, PLACE)),
			"internal",
			text,
		);
	}
});

test("another key is named, and neither key is told", () => {
	const sealed = new Vault(KEY).seal(TEXT, PLACE);
	const other = new Vault("b2".repeat(32));
	assert.throws(
		() => other.open(sealed, PLACE),
		(error: DormiceError) => {
			assert.equal(error.reason, "not_set_up");
			assert.ok(error.message.includes(other.keyId) && error.message.includes(new Vault(KEY).keyId));
			assert.ok(!error.message.includes(KEY));
			return true;
		},
	);
	for (const key of ["", "short", KEY.toUpperCase(), `${KEY}00`, `${KEY}\n`]) {
		assert.equal(
			reasonOf(() => new Vault(key)),
			"invalid_argument",
		);
	}
});
