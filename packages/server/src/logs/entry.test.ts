import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parseLine } from "./entry.ts";
import { choose } from "./read.ts";
import { tailLines } from "./tail.ts";

const THEN = new Date("2026-01-01T00:00:00Z");
const plain = (message: string) => ({ timestamp: THEN, level: "info", message, fields: {} });

test("a line of the supervisor is read", () => {
	const line = '{"time":"2026-01-02T00:00:00Z","level":"warn","message":"m","fields":{"pid":3,"cmd":"x"}}';
	const timestamp = new Date("2026-01-02T00:00:00Z");
	assert.deepEqual(parseLine(line, THEN), { timestamp, level: "warn", message: "m", fields: { pid: "3", cmd: "x" } });
});

for (const line of ["kernel panic", "", "{", "null", "[1]", '{"time":"x","level":7,"message":[],"fields":"f"}']) {
	test(`whatever else the guest writes is a message: ${line}`, () =>
		assert.deepEqual(parseLine(line, THEN), plain(line)));
}

test("a line without end is cut", () => assert.equal(parseLine("x".repeat(1e6), THEN).message.length, 4096));

test("only the tail of a long file is read, in whole lines", async () => {
	const dir = await mkdtemp(join(tmpdir(), "dormice-log-"));
	await writeFile(join(dir, "a.log"), "one\ntwo\nthree\nunfinish");
	assert.deepEqual(await tailLines(join(dir, "a.log")), ["one", "two", "three"]);
	assert.deepEqual(await tailLines(join(dir, "a.log"), 17), ["three"]);
	assert.deepEqual(await tailLines(join(dir, "none.log")), []);
	await rm(dir, { recursive: true });
});

test("entries are filtered, ordered and cut", () => {
	const entry = (seconds: number, level: "debug" | "error", message: string) => ({
		...{ timestamp: new Date(seconds * 1000), level, message, fields: {} },
	});
	const entries = [entry(2, "error", "b"), entry(1, "debug", "a"), entry(3, "error", "bc")];
	const messages = (query: Parameters<typeof choose>[1]) => choose([...entries], query).map(({ message }) => message);
	assert.deepEqual(messages({ limit: 9, direction: "forward" }), ["a", "b", "bc"]);
	assert.deepEqual(messages({ limit: 2, direction: "backward" }), ["bc", "b"]);
	assert.deepEqual(messages({ limit: 9, direction: "forward", from: new Date(2000) }), ["b", "bc"]);
	assert.deepEqual(messages({ limit: 9, direction: "backward", from: new Date(2000) }), ["b", "a"]);
	assert.deepEqual(messages({ limit: 9, direction: "forward", level: "warn", search: "c" }), ["bc"]);
});
