import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { until } from "../testing.ts";
import { Transcript, type TranscriptLimits } from "./transcript.ts";

const directory = mkdtempSync(join(tmpdir(), "dormice-transcript-"));
after(() => rmSync(directory, { recursive: true, force: true }));

const LIMITS: TranscriptLimits = { segmentBytes: 1000, memoryBytes: 10, backlogBytes: 400 };
const never = new AbortController().signal;
let count = 0;

function make(limits: Partial<TranscriptLimits> = {}) {
	const path = join(directory, `${++count}`, "12.stdout");
	let regulated = 0;
	const transcript = new Transcript(path, () => regulated++, { limits: { ...LIMITS, ...limits } });
	return { path, transcript, regulated: () => regulated };
}

/** Byte at offset n is n mod 251: what is read tells where it was. */
const bytes = (from: number, length: number) => Buffer.from(Array.from({ length }, (_, i) => (from + i) % 251));

async function read(transcript: Transcript, from: number, follow = false): Promise<Buffer> {
	return Buffer.concat(await Array.fromAsync(transcript.read(from, { follow, signal: never })));
}

async function fill(transcript: Transcript, to: number, piece = 100): Promise<void> {
	while (transcript.end < to) {
		transcript.append(bytes(transcript.end, Math.min(piece, to - transcript.end)));
		await until("room", () => !transcript.full);
	}
}

test("a little output is kept in memory alone, and read from any offset", async () => {
	const { transcript, path } = make();
	transcript.append(bytes(0, 4));
	transcript.append(bytes(4, 5));
	for (const from of [0, 3, 4, 8, 9]) assert.deepEqual(await read(transcript, from), bytes(from, 9 - from));
	await new Promise((resolve) => setTimeout(resolve, 100));
	assert.throws(() => readdirSync(join(path, "..")), { code: "ENOENT" });
});

test("the newest output is kept, the oldest is given up, and the files stay small", async () => {
	const { transcript, path } = make();
	await fill(transcript, 12_345);
	await until("the writing", () => statSync(`${path}.0`).size + statSync(`${path}.1`).size >= transcript.size - 10);
	assert.ok(transcript.size >= 1000 && transcript.size <= 2000 + LIMITS.backlogBytes, `${transcript.size} bytes`);
	assert.ok(statSync(`${path}.0`).size <= 1000 && statSync(`${path}.1`).size <= 1000);
	assert.deepEqual(await read(transcript, transcript.earliest), bytes(transcript.earliest, transcript.size));
	for (const offset of [0, transcript.earliest - 1, transcript.end + 1]) {
		assert.throws(() => transcript.check(offset), { reason: "output_out_of_range" });
		await assert.rejects(read(transcript, offset), { reason: "output_out_of_range" });
	}
});

test("who follows gets all of it once, and holds the process back when slow", async () => {
	const { transcript, regulated } = make();
	await fill(transcript, 500);
	let at = 0;
	const following = (async () => {
		for await (const piece of transcript.read(0, { follow: true, signal: never })) {
			assert.deepEqual(Buffer.from(piece), bytes(at, piece.length));
			at += piece.length;
			await new Promise((resolve) => setTimeout(resolve, 1));
		}
	})();
	await until("the follower", () => transcript.followers === 1);
	transcript.append(bytes(500, 700));
	assert.equal(transcript.full, true);
	const before = regulated();
	await until("that it catches up", () => !transcript.full);
	assert.ok(regulated() > before);
	await fill(transcript, 20_000);
	transcript.close();
	await following;
	assert.equal(at, 20_000);
	assert.equal(transcript.followers, 0);
});

test("who leaves stops waiting", async () => {
	const { transcript } = make();
	const abort = new AbortController();
	const reading = Array.fromAsync(transcript.read(0, { follow: true, signal: abort.signal }));
	await until("the follower", () => transcript.followers === 1);
	abort.abort(new Error("left"));
	await assert.rejects(reading, /left/);
	assert.equal(transcript.followers, 0);
});

for (const [what, harm] of [
	["is deleted", (path: string) => rmSync(path)],
	["is emptied", (path: string) => truncateSync(path, 0)],
	["loses its directory", (path: string) => rmSync(join(path, ".."), { recursive: true })],
] as const) {
	test(`a file that ${what} costs what was in it and no more`, async () => {
		const { transcript, path } = make();
		await fill(transcript, 300);
		await until("the file", () => statSync(`${path}.0`, { throwIfNoEntry: false })?.size === 300);
		await new Promise((resolve) => setTimeout(resolve, 50));
		harm(`${path}.0`);
		await assert.rejects(read(transcript, 0), { reason: "output_out_of_range" });
		await fill(transcript, 900);
		await until(
			"the writing",
			() => statSync(`${path}.${transcript.earliest === 0 ? 0 : 1}`, { throwIfNoEntry: false }) !== undefined,
		);
		assert.equal(transcript.end, 900);
		assert.deepEqual(await read(transcript, transcript.earliest), bytes(transcript.earliest, transcript.size));
		assert.ok(transcript.size >= 600);
	});
}

test("what is removed leaves no file, and ends who reads it", async () => {
	const { transcript, path } = make();
	await fill(transcript, 1500);
	const reading = assert.rejects(read(transcript, transcript.earliest, true), { reason: "output_out_of_range" });
	await transcript.remove();
	await reading;
	assert.deepEqual(readdirSync(join(path, "..")), []);
	await assert.rejects(read(transcript, 0), { reason: "output_out_of_range" });
});
