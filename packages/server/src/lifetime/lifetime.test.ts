import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { untilAborted } from "@dormice/protocol";
import { openLog } from "../log.ts";
import { Loop } from "./loop.ts";
import { Queue } from "./queue.ts";

test("a queue keeps its width, its order and its patience", async () => {
	const queue = new Queue(1, 30);
	const order: string[] = [];
	const first = queue.run(async () => {
		await sleep(10);
		order.push("first");
	});
	const second = queue.run(async () => {
		order.push("second");
		await sleep(60);
	});
	const third = queue.run(async () => void order.push("third"));
	const leaving = new AbortController();
	const fourth = queue.run(async () => void order.push("fourth"), leaving.signal);
	leaving.abort(new Error("left"));
	await assert.rejects(fourth, /left/);
	await assert.rejects(third, { reason: "capacity_unavailable", retryAfterSeconds: 1 });
	await Promise.all([first, second]);
	await queue.run(async () => void order.push("last"));
	assert.deepEqual(order, ["first", "second", "last"]);
});

test("a queue that moves refuses none, however long it is", async () => {
	const queue = new Queue(1, 60);
	const beganAtMs = performance.now();
	await Promise.all(Array.from({ length: 8 }, () => queue.run(() => sleep(25))));
	assert.ok(performance.now() - beganAtMs >= 8 * 24);
});

test("a loop takes one turn at a time, another for pokes meanwhile, and survives a failure", async () => {
	let [turns, atOnce, most] = [0, 0, 0];
	const loop = new Loop("test", 60_000, openLog("silent"), async () => {
		turns++;
		most = Math.max(most, ++atOnce);
		await sleep(5);
		atOnce--;
		throw new Error("fails");
	});
	loop.poke();
	for (let i = 0; i < 5; i++) loop.poke();
	await sleep(50);
	assert.deepEqual([turns, most], [2, 1]);
	loop.poke();
	await loop[Symbol.asyncDispose]();
	loop.poke();
	assert.deepEqual([turns, atOnce], [3, 0]);
});

test("an abort ends the waiting and not the work", async () => {
	let done = false;
	const work = sleep(20).then(() => {
		done = true;
	});
	await assert.rejects(untilAborted(work, AbortSignal.timeout(5)));
	await work;
	assert.equal(done, true);
});
