import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { newId, type Reason } from "@dormice/protocol";
import { refusedAs, TestEngine } from "./engine.ts";

const LIMITS = { cpuCount: 1, memoryMib: 512, diskMib: 256, pids: 512 };

let engine: TestEngine;

before(async () => {
	engine = await TestEngine.open();
});

after(() => engine[Symbol.asyncDispose]());

describe("what the engine refuses", () => {
	const sandboxId = newId("sandbox");
	const generationId = newId("generation");
	const rows: [string, Reason, () => Promise<unknown>][] = [
		["an id that is a path", "invalid_argument", () => engine.client.destroy({ sandboxId: "../../etc" })],
		["a sandbox that is not there", "sandbox_not_found", () => engine.client.freeze({ sandboxId })],
		[
			"a generation that is not there",
			"generation_not_found",
			() => engine.client.restore({ sandboxId, generationId, limits: LIMITS }),
		],
		["a sandbox without limits", "invalid_argument", () => engine.client.restore({ sandboxId, generationId })],
		["a boot from nowhere", "invalid_argument", () => engine.client.boot({ sandboxId, limits: LIMITS })],
		[
			"a disk of its own that is not there",
			"sandbox_not_found",
			() => engine.client.boot({ sandboxId, limits: LIMITS, source: { case: "ownDisk", value: true } }),
		],
	];
	test("on a thaw line", async () => {
		const ask = await engine.thawLine();
		assert.match(await ask(`1 ${sandboxId}`), /^1 sandbox_not_found Sandbox /);
		assert.match(await ask("2 ../../etc"), /^2 invalid_argument /);
		await assert.rejects(ask("x".repeat(5000)), { message: "the line was closed" });
	});
	for (const [name, reason, work] of rows) {
		test(name, async () => {
			await refusedAs(reason, work());
			assert.deepEqual(await engine.traces(sandboxId), []);
		});
	}
});
