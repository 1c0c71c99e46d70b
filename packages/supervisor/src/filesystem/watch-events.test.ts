import assert from "node:assert/strict";
import { test } from "node:test";
import { Changes, type RawEvent, uploadName } from "./watch-events.ts";

const CREATE = 0x100;
const MODIFY = 0x2;
const ATTRIB = 0x4;
const FROM = 0x40;
const TO = 0x80;
const DELETE = 0x200;
const IS_DIRECTORY = 0x40000000;

const told = (...events: RawEvent[]) => {
	const changes = new Changes();
	return events.flatMap((event) => changes.from(event)).map(({ kind, name }) => `${kind} ${name}`);
};
const raw = (mask: number, path: string, cookie = 0): RawEvent => ({ mask, path, cookie });

test("each kind, with the directory's own as '.'", () => {
	const events = [
		raw(CREATE | IS_DIRECTORY, "d"),
		raw(MODIFY, "d/f"),
		raw(ATTRIB, ""),
		raw(FROM, "a", 1),
		raw(TO, "b", 1),
		raw(DELETE, "b"),
	];
	assert.deepEqual(told(...events), ["create d", "write d/f", "chmod .", "rename a", "create b", "remove b"]);
});

test("one event of several kinds is told in the fixed order", () => {
	assert.deepEqual(told(raw(DELETE | MODIFY | ATTRIB | CREATE, "f")), ["create f", "chmod f", "write f", "remove f"]);
});

for (const [overwrites, expected] of [
	[false, ["create d/f", "write d/f"]],
	[true, ["write d/f"]],
] as const) {
	test(`an upload that ${overwrites ? "overwrites" : "creates"} is told as such`, () => {
		const hidden = `d/${uploadName(overwrites, "x")}`;
		assert.deepEqual(told(raw(CREATE, hidden), raw(MODIFY, hidden), raw(FROM, hidden, 7), raw(TO, "d/f", 7)), expected);
	});
}

test("an upload that failed is not told, nor taken for the next rename", () => {
	const hidden = uploadName(false, "x");
	assert.deepEqual(told(raw(CREATE, hidden), raw(DELETE, hidden), raw(TO, "f", 8)), ["create f"]);
});
