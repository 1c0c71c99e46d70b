import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Sandbox } from "e2b";
import { TestPlatform } from "../testing/platform.ts";

const URL = "/templates/base/settings";

describe("settings of a template", { timeout: 60_000 }, () => {
	let platform: TestPlatform;
	before(async () => {
		platform = await TestPlatform.open();
	});
	after(() => platform[Symbol.asyncDispose]());

	const settings = async () => (await platform.api("GET", URL)).body as { settings: object; effective: object };
	const change = (body: object) => platform.api("PATCH", URL, body);
	const restOf = async (metadata: Record<string, string> = {}) => {
		const { sandboxId } = await Sandbox.create({ ...platform.e2b, metadata });
		const { body } = await platform.api("GET", `/sandboxes/${sandboxId}/lifecycle`);
		await Sandbox.kill(sandboxId, platform.e2b);
		return (body as { rest: object }).rest;
	};

	test("a template's settings are read and changed one by one, and taken back", async () => {
		const byPlatform = { isolation: "auto", doze: "idle", dozeAfterMs: 15_000, sleepAfterMs: 600_000 };
		const retention = { last: 2, checkpoints: 100, daily: 0 };
		const before = await settings();
		assert.deepEqual(before.settings, { retention: {} });
		assert.deepEqual(before.effective, { ...byPlatform, retention });

		assert.equal((await change({ dozeAfterMs: 500, retention: { last: 5, daily: 7 } })).status, 200);
		const { status, body } = await change({ doze: "always", retention: { last: null } });
		assert.equal(status, 200);
		assert.deepEqual(body, await settings());
		const { settings: own, effective } = await settings();
		assert.deepEqual(own, { doze: "always", dozeAfterMs: 500, retention: { daily: 7 } });
		assert.deepEqual(effective, {
			...{ isolation: "auto", doze: "always", dozeAfterMs: 500, sleepAfterMs: 600_000 },
			retention: { ...retention, daily: 7 },
		});

		await change({ doze: null, dozeAfterMs: null, retention: { daily: null } });
		assert.deepEqual((await settings()).settings, { retention: {} });
	});

	test("sandboxes made afterwards rest as their template says, and as they say themselves before that", async () => {
		const { sandboxId } = await Sandbox.create(platform.e2b);
		await change({ dozeAfterMs: 700, sleepAfterMs: 0 });
		assert.deepEqual(await restOf(), { doze: "idle", dozeAfterMs: 700, sleepAfterMs: 0 });
		assert.deepEqual(await restOf({ "dormice.sleepAfterMs": "9" }), {
			doze: "idle",
			dozeAfterMs: 700,
			sleepAfterMs: 9,
		});
		const { body } = await platform.api("GET", `/sandboxes/${sandboxId}/lifecycle`);
		assert.equal(
			(body as { rest: { dozeAfterMs: number } }).rest.dozeAfterMs,
			15_000,
			"one that is there stays as it is",
		);
		await Sandbox.kill(sandboxId, platform.e2b);
		await change({ dozeAfterMs: null, sleepAfterMs: null });
	});

	test("a template's settings outlive the server", async () => {
		await change({ doze: "always", retention: { checkpoints: 3 } });
		await platform.stop();
		await platform.start();
		assert.deepEqual((await settings()).settings, { doze: "always", retention: { checkpoints: 3 } });
		await change({ doze: null, retention: { checkpoints: null } });
	});

	const REFUSED: [string, object, number, string][] = [
		["too short a doze", { dozeAfterMs: 5 }, 400, "invalid_argument"],
		["a number that is none", { sleepAfterMs: "soon" }, 400, "invalid_argument"],
		["an unknown mode", { doze: "never" }, 400, "invalid_argument"],
		["an unknown isolation", { isolation: "strong" }, 400, "invalid_argument"],
		["an unknown setting", { dozeAfter: 5 }, 400, "invalid_argument"],
		["an unknown part of the retention", { retention: { weekly: 1 } }, 400, "invalid_argument"],
	];
	for (const [name, body, status, reason] of REFUSED) {
		test(`refused, and nothing is changed: ${name}`, async () => {
			const before = await settings();
			const answer = await change({ sleepAfterMs: 1_000, ...body });
			assert.equal(answer.status, status);
			assert.equal((answer.body as { reason: string }).reason, reason);
			assert.deepEqual(await settings(), before);
		});
	}

	test("what is no template has no settings", async () => {
		const { status, body } = await platform.api("PATCH", "/templates/nothing/settings", { doze: "always" });
		assert.deepEqual([status, (body as { reason: string }).reason], [404, "template_not_found"]);
	});
});
