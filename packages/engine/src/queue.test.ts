import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Queue } from "./queue.ts";

test("work on one id never overlaps, a failure does not stop what waits, and other ids are not held up", async () => {
	const queue = new Queue();
	const order: string[] = [];
	const step = (name: string, ms: number) => async () => {
		order.push(`${name} begins`);
		await sleep(ms);
		order.push(`${name} ends`);
		if (name === "a1") throw new Error("a1 failed");
	};
	const [first] = await Promise.allSettled([
		queue.run("a", step("a1", 20)),
		queue.run("a", step("a2", 1)),
		queue.run("b", step("b1", 1)),
	]);
	assert.equal(first.status, "rejected");
	assert.deepEqual(
		order.filter((line) => line.startsWith("a")),
		["a1 begins", "a1 ends", "a2 begins", "a2 ends"],
	);
	assert.ok(order.indexOf("b1 ends") < order.indexOf("a1 ends"));
});
