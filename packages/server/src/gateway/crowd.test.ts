import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Sandbox } from "e2b";
import { APP_PORT } from "../testing/fake-guest.ts";
import { TestPlatform, until } from "../testing/platform.ts";

/** Many who want to be woken at once, where two are started at a time. */
suite("a crowd of wakes", () => {
	let platform: TestPlatform;
	let ids: string[] = [];
	before(async () => {
		platform = await TestPlatform.open();
		const lifecycle = { onTimeout: "pause", autoResume: true } as const;
		const made = Array.from({ length: 5 }, () =>
			Sandbox.create({ ...platform.e2b, lifecycle, timeoutMs: 600_000 }).then(({ sandboxId }) => sandboxId),
		);
		ids = await Promise.all(made);
		await platform.stop();
		await platform.start({ startWaitMs: 2_000 });
	});
	after(() => platform[Symbol.asyncDispose]());

	const restores = () => platform.engine.calls.get("restore") ?? 0;
	const putToSleep = () => Promise.all(ids.map((id) => Sandbox.pause(id, platform.e2b)));

	test("who waits too long for a place is told when to come again, and is woken then", async () => {
		await putToSleep();
		platform.engine.delaysMs.set("restore", 4_500);
		const answers = await Promise.all(ids.map((id) => platform.sandbox(id, APP_PORT, "/count")));
		const statuses = answers.map(({ status }) => status);
		assert.deepEqual(statuses.toSorted(), [200, 200, 429, 429, 429], "first come, first served, and two at a time");
		assert.deepEqual(statuses.slice(0, 2), [200, 200]);
		for (const answer of answers.slice(2)) {
			assert.ok(Number(answer.headers.get("retry-after")) >= 1);
			assert.equal(((await answer.json()) as { reason: string }).reason, "capacity_unavailable");
		}
		await Promise.all(ids.slice(0, 2).map((id) => Sandbox.pause(id, platform.e2b)));
		const connects = await Promise.all(ids.map((id) => platform.api("POST", `/v2/sandboxes/${id}/connect`, {})));
		assert.deepEqual(connects.map(({ status }) => status).toSorted(), [201, 201, 429, 429, 429]);
		for (const { status, headers } of connects) assert.equal(Number(headers.get("retry-after")) >= 1, status === 429);
		platform.engine.delaysMs.clear();
		for (const id of ids) assert.equal((await platform.sandbox(id, APP_PORT, "/count")).status, 200);
	});

	test("forks made by one request wait for each other as long as it takes", async () => {
		platform.engine.delaysMs.set("restore", 900);
		const [id = ""] = ids;
		const { status, body } = await platform.api("POST", `/sandboxes/${id}/fork`, { count: 6, timeout: 600 });
		platform.engine.delaysMs.clear();
		assert.equal(status, 201);
		const forks = (body as { sandbox?: { sandboxID: string } }[]).map(({ sandbox }) => sandbox?.sandboxID);
		assert.deepEqual(
			forks.filter((fork) => fork === undefined),
			[],
		);
		for (const fork of forks) await Sandbox.kill(fork ?? "", platform.e2b);
	});

	test("who leaves before it was their turn gives up the place, if nobody else waits for the same", async () => {
		await putToSleep();
		platform.engine.delaysMs.set("restore", 600);
		const before = restores();
		const [one = "", two = "", three = "", four = ""] = ids;
		const first = [one, two].map((id) => platform.sandbox(id, APP_PORT, "/count"));
		await until(() => restores() === before + 2);
		const leave = new AbortController();
		const left = [three, four].map((id) =>
			platform.sandbox(id, APP_PORT, "/count", { signal: leave.signal }).catch((error: unknown) => error),
		);
		const stayed = platform.sandbox(four, APP_PORT, "/count");
		await sleep(50);
		leave.abort(new Error("left"));
		await Promise.all(left);
		assert.deepEqual(
			await Promise.all([...first, stayed].map(async (answer) => (await answer).status)),
			[200, 200, 200],
		);
		await sleep(50);
		assert.equal(restores(), before + 3, "one was not woken: nobody wanted it any more");
		assert.equal((await Sandbox.getInfo(three, platform.e2b)).state, "paused");
		assert.equal((await platform.sandbox(three, APP_PORT, "/count")).status, 200, "and whoever comes wakes it");
		platform.engine.delaysMs.clear();
	});
});
