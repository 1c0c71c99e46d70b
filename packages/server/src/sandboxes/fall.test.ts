import assert from "node:assert/strict";
import { after, before, beforeEach, suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Sandbox } from "e2b";
import pg from "pg";
import { APP_PORT } from "../testing/fake-guest.ts";
import { TestPlatform, until } from "../testing/platform.ts";

/** Falling asleep by itself: when, how it is called off, and that nobody can tell. */
suite("falling asleep", () => {
	let platform: TestPlatform;
	let rows: pg.Client;
	before(async () => {
		platform = await TestPlatform.open();
		rows = new pg.Client({ connectionString: platform.databaseUrl });
		await rows.connect();
	});
	after(async () => {
		await rows.end();
		await platform[Symbol.asyncDispose]();
	});
	beforeEach(() => {
		platform.engine.failures.clear();
		platform.engine.delaysMs.clear();
	});

	const ask = (id: string) => platform.sandbox(id, APP_PORT, "/count");
	const count = async (id: string) => Number(await (await ask(id)).text());
	const row = async (id: string): Promise<{ state: string; unasked: boolean; reasons: string[] }> => {
		const [found] = (await rows.query("select state, unasked from sandboxes where id = $1", [id])).rows;
		const changes = await rows.query("select to_state, reason from transitions where sandbox_id = $1 order by id", [
			id,
		]);
		return { ...found, reasons: changes.rows.map(({ to_state, reason }) => `${to_state} ${reason}`) };
	};
	const frozen = (id: string) => platform.engine.sandboxes.get(id)?.state === "frozen";
	const sleeps = async (id: string) => (await row(id)).state === "asleep" && !platform.engine.sandboxes.has(id);
	const calls = (verb: string) => platform.engine.calls.get(verb) ?? 0;
	const stored = () => [...platform.engine.generations.values()].filter(({ reason }) => reason === "pause").length;
	const create = async (fields: object = {}): Promise<string> => {
		const { body } = await platform.api("POST", "/v2/sandboxes", {
			...{ templateID: "base", timeout: 600, dozeAfterMs: 200, sleepAfterMs: 200 },
			...fields,
		});
		return (body as { sandboxID: string }).sandboxID;
	};
	const end = (id: string) => Sandbox.kill(id, platform.e2b);

	test("what dozes for long falls asleep, reads as running, and wakes by request without autoResume", async () => {
		const id = await create();
		assert.equal(await count(id), 1);
		const before = await Sandbox.getInfo(id, platform.e2b);
		await until(() => sleeps(id));
		assert.equal(platform.engine.openAtCheckpoint, 0);
		const listed = async (state: string) =>
			((await platform.api("GET", `/v2/sandboxes?state=${state}`)).body as { sandboxID: string }[]).some(
				({ sandboxID }) => sandboxID === id,
			);
		assert.deepEqual([await listed("running"), await listed("paused")], [true, false]);
		assert.deepEqual(await Sandbox.getInfo(id, platform.e2b), before);
		assert.equal(await count(id), 2);
		const { state, startedAt, endAt } = await Sandbox.getInfo(id, platform.e2b);
		assert.deepEqual([state, startedAt, endAt], ["running", before.startedAt, before.endAt]);
		assert.equal((await row(id)).unasked, false);
		await end(id);
	});

	test("connect finds it running, resume too; its timeout can be set as it sleeps", async () => {
		const id = await create();
		await until(() => sleeps(id));
		assert.equal((await platform.api("POST", `/sandboxes/${id}/timeout`, { timeout: 900 })).status, 204);
		assert.ok((await Sandbox.getInfo(id, platform.e2b)).endAt.getTime() > Date.now() + 800_000);
		assert.ok(await sleeps(id), "that wakes nobody");
		assert.equal((await platform.api("POST", `/sandboxes/${id}/connect`, { timeout: 60 })).status, 200);
		await until(() => sleeps(id));
		assert.equal((await platform.api("POST", `/sandboxes/${id}/resume`, { timeout: 60 })).status, 409);
		await end(id);
	});

	test("it runs out as it sleeps: killed, or paused from then on", async () => {
		const doomed = await create();
		const kept = await create({ autoPause: true });
		await until(async () => (await sleeps(doomed)) && (await sleeps(kept)));
		for (const id of [doomed, kept]) await Sandbox.setTimeout(id, 0, platform.e2b);
		await until(async () => (await platform.api("GET", `/sandboxes/${doomed}`)).status === 404);
		await until(async () => (await Sandbox.getInfo(kept, platform.e2b)).state === "paused");
		assert.equal((await ask(kept)).status, 502, "without autoResume");
		await end(kept);
	});

	test("a pause makes it a paused one; without memory it is woken for that", async () => {
		const id = await create();
		await count(id);
		await until(() => sleeps(id));
		assert.equal((await platform.api("POST", `/sandboxes/${id}/pause`)).status, 204);
		assert.equal((await Sandbox.getInfo(id, platform.e2b)).state, "paused");
		assert.equal((await platform.api("POST", `/sandboxes/${id}/pause`)).status, 409);
		await Sandbox.connect(id, { ...platform.e2b, timeoutMs: 600_000 });
		assert.equal(await count(id), 2);
		await until(() => sleeps(id));
		assert.equal((await platform.api("POST", `/sandboxes/${id}/pause`, { memory: false })).status, 204);
		await Sandbox.connect(id, { ...platform.e2b, timeoutMs: 600_000 });
		assert.equal(await count(id), 1);
		await end(id);
	});

	/** [the step during which a request comes, how long the engine takes for it] */
	const STEPS: [string, string][] = [
		["the thaw before it", "thaw"],
		["the checkpoint", "checkpoint"],
	];
	for (const [what, verb] of STEPS) {
		test(`a request during ${what} calls it off, and nothing is lost`, async () => {
			const id = await create({ sleepAfterMs: 400 });
			assert.equal(await count(id), 1);
			await until(() => frozen(id));
			const [before, restores, kept] = [calls(verb), calls("restore"), stored()];
			const { calledOff } = platform.engine;
			platform.engine.delaysMs.set(verb, 300);
			await until(() => calls(verb) > before);
			platform.engine.delaysMs.clear();
			assert.deepEqual(await Promise.all([count(id), count(id)]).then((counts) => counts.toSorted()), [2, 3]);
			assert.equal(calls("restore"), restores);
			assert.deepEqual([(await row(id)).state, (await row(id)).unasked], ["running", false]);
			await until(() => stored() === kept);
			if (verb === "checkpoint") await until(() => platform.engine.calledOff === calledOff + 1);
			await end(id);
		});
	}

	test("a request as what is left of it is cleared away wakes it", async () => {
		const id = await create();
		await count(id);
		await until(() => frozen(id));
		const before = calls("destroy");
		platform.engine.delaysMs.set("destroy", 300);
		await until(() => calls("destroy") > before);
		platform.engine.delaysMs.clear();
		assert.equal(await count(id), 2);
		await end(id);
	});

	test("one that cannot be stored runs on, and is left alone for a while", async () => {
		const id = await create();
		await count(id);
		platform.engine.failures.set("checkpoint", { reason: "not_storable", times: 1 });
		const before = calls("checkpoint");
		await until(() => calls("checkpoint") > before);
		assert.equal(await count(id), 2);
		await until(() => frozen(id));
		await sleep(1_500);
		assert.ok(frozen(id));
		assert.equal(calls("checkpoint"), before + 1);
		await end(id);
	});

	test("with sleepAfterMs 0 it only dozes", async () => {
		const id = await create({ sleepAfterMs: 0 });
		await until(() => frozen(id));
		await sleep(1_500);
		assert.ok(frozen(id));
		await end(id);
	});

	test("when memory is short, what was not used for longest falls first, and as much as it takes", async () => {
		await platform.stop();
		await platform.start({ memoryBudgetMib: 250 });
		const ids: string[] = [];
		for (let i = 0; i < 4; i++) ids.push(await create({ sleepAfterMs: 600_000 }));
		for (const id of ids) platform.engine.guest(id).memoryBytes = 60 << 20;
		const [a = "", b = "", c = "", d = ""] = ids;
		// Used in another order than made.
		for (const id of [c, a, d, b]) {
			await count(id);
			await sleep(20);
		}
		await until(() => ids.every(frozen));
		const more = await create({ sleepAfterMs: 600_000 });
		ids.push(more);
		platform.engine.guest(more).memoryBytes = 110 << 20;
		await until(async () => (await sleeps(c)) && (await sleeps(a)));
		await sleep(1_500);
		assert.deepEqual([d, b, more].map(frozen), [true, true, true]);
		assert.ok((await row(c)).reasons.includes("asleep memory"));
		assert.equal(await count(a), 2);
		platform.engine.guest(a).memoryBytes = 60 << 20;
		await until(() => sleeps(d));
		await Promise.all(ids.map(end));
		await platform.stop();
		await platform.start();
	});

	test("the server died while it fell: before the checkpoint, after it, and after the commit", async () => {
		const ids = [await create({ sleepAfterMs: 0 }), await create({ sleepAfterMs: 0 }), await create()];
		const [early = "", late = "", asleep = ""] = ids;
		await Promise.all(ids.map(count));
		await until(async () => frozen(early) && frozen(late) && (await sleeps(asleep)));
		await platform.stop();
		const set = "update sandboxes set state = 'checkpointing', unasked = true, epoch = epoch + 1 where id = any($1)";
		await rows.query(set, [[early, late]]);
		const standing = platform.engine.sandboxes.get(late);
		if (standing !== undefined) standing.state = "paused";
		standing?.guest?.thaw();
		await platform.start();
		await until(async () => (await ask(early)).ok && (await ask(late)).ok);
		assert.equal(await count(asleep), 2);
		assert.equal((await row(early)).unasked, false);
		await Promise.all(ids.map(end));
	});

	test("a wake that fails leaves it asleep unasked, and the next request wakes it", async () => {
		const id = await create();
		await count(id);
		await until(() => sleeps(id));
		platform.engine.failures.set("restore", { reason: "capacity_unavailable", times: 1 });
		assert.equal((await ask(id)).status, 429);
		assert.deepEqual([(await row(id)).state, (await row(id)).unasked], ["asleep", true]);
		assert.equal((await Sandbox.getInfo(id, platform.e2b)).state, "running");
		assert.equal(await count(id), 2);
		await end(id);
	});
});
