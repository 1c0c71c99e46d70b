import assert from "node:assert/strict";
import { test } from "node:test";
import { Changes, type RawEvent } from "./watch-events.ts";
import { Watchers } from "./watchers.ts";

const CREATE = 0x100;
const MODIFY = 0x2;
const ATTRIB = 0x4;
const FROM = 0x40;
const TO = 0x80;
const DELETE = 0x200;
const IS_DIRECTORY = 0x40000000;

const told = (events: RawEvent[], uploads: { path: string; isReplaced: boolean }[] = []) => {
	const watchers = new Watchers();
	const changes = new Changes(watchers.add("/watched"));
	for (const { path, isReplaced } of uploads) watchers.expect(path, { isReplaced });
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
	assert.deepEqual(told(events), ["create d", "write d/f", "chmod .", "rename a", "create b", "remove b"]);
});

test("one event of several kinds is told in the fixed order", () => {
	const events = [raw(DELETE | MODIFY | ATTRIB | CREATE, "f")];
	assert.deepEqual(told(events), ["create f", "chmod f", "write f", "remove f"]);
});

for (const [isReplaced, expected] of [
	[false, ["create d/f", "write d/f"]],
	[true, ["write d/f"]],
] as const) {
	test(`an upload that ${isReplaced ? "overwrites" : "creates"} is told as such`, () => {
		assert.deepEqual(told([raw(TO, "d/f", 7)], [{ path: "/watched/d/f", isReplaced }]), expected);
	});
}

test("each upload is told once, and another's rename is none", () => {
	const path = "/watched/f";
	const uploads = [false, true].map((isReplaced) => ({ path, isReplaced }));
	const elsewhere = [{ path: "/watchedtoo/f", isReplaced: false }];
	const events = [raw(TO, "f", 7), raw(TO, "f", 8), raw(TO, "f", 9)];
	assert.deepEqual(told(events, uploads), ["create f", "write f", "write f", "create f"]);
	assert.deepEqual(told([raw(TO, "f", 7)], elsewhere), ["create f"]);
});

test("what is staged below the watched directory is not told", () => {
	const staged = ["tmp/.dormice-staging/x", "tmp/.dormice-staging", ".dormice-staging-1f", "a/.dormice-staging-0/b"];
	for (const path of staged) assert.deepEqual(told([raw(CREATE, path), raw(FROM, path, 1)]), []);
	assert.deepEqual(told([raw(CREATE, "a.dormice-staging")]), ["create a.dormice-staging"]);
});
