import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, rmSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { type Filed, Journal } from "./journal.ts";

const directory = mkdtempSync(join(tmpdir(), "dormice-journal-"));
after(() => rmSync(directory, { recursive: true }));

let count = 0;
function make() {
	const path = join(directory, `${++count}`, "journal");
	return { path, journal: new Journal(path) };
}

/** A stream as a transcript has it: bytes, of which files have the first. */
function stream(journal: Journal, key: string) {
	let filed: Filed = { segments: [], nextFile: 0, from: 0 };
	let bytes = Buffer.alloc(0);
	const entry = journal.open(key, () => ({ filed, pending: [bytes.subarray(filed.from)] }));
	return {
		append(text: string) {
			bytes = Buffer.concat([bytes, Buffer.from(text)]);
			entry.append(Buffer.from(text));
		},
		file(from: number) {
			filed = { segments: [{ path: "/x", from: 0, length: from }], nextFile: 1, from };
			entry.file(filed);
		},
		end: () => entry.end(),
	};
}

function recalled(path: string) {
	const streams = [...Journal.recall(path)].map(([key, { filed, pending }]) => [
		key,
		filed.from,
		Buffer.concat(pending).toString(),
	]);
	return Object.fromEntries(streams.map(([key, ...rest]) => [key, rest]));
}

test("what no file has is recalled, by stream", () => {
	const { path, journal } = make();
	const [a, b, c] = [stream(journal, "a"), stream(journal, "b"), stream(journal, "c")];
	a.append("one ");
	b.append("other");
	a.append("two ");
	a.file(4);
	a.append("three");
	c.append("over");
	c.end();
	assert.deepEqual(recalled(path), { a: [4, "two three"], b: [0, "other"] });
	assert.equal(Journal.recall(path).get("a")?.filed.nextFile, 1);
	journal.compact();
	assert.deepEqual(recalled(path), { a: [4, "two three"], b: [0, "other"] });
	a.file(9);
	assert.deepEqual(recalled(path).a, [9, "hree"]);
	a.end();
	b.end();
	assert.equal(statSync(path).size, 0);
});

test("it stays small however much passes through it", () => {
	const { path, journal } = make();
	const one = stream(journal, "one");
	const piece = "x".repeat(100_000);
	for (let i = 1; i <= 100; i++) {
		one.append(piece);
		one.file(i * piece.length - 10);
		assert.ok(statSync(path).size < 2_000_000);
	}
	assert.deepEqual(recalled(path).one, [9_999_990, "x".repeat(10)]);
});

test("of a record that was cut off nothing is believed, and of nonsense nothing at all", () => {
	const { path, journal } = make();
	assert.deepEqual(recalled(path), {});
	const one = stream(journal, "one");
	one.append("whole");
	one.append("broken");
	truncateSync(path, statSync(path).size - 1);
	assert.deepEqual(recalled(path), { one: [0, "whole"] });
	truncateSync(path, 0);
	appendFileSync(path, Buffer.from("\u0004\0\0\0\0\0\0\0nope"));
	assert.deepEqual(recalled(path), {});
});
