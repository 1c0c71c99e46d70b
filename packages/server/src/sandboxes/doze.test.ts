import assert from "node:assert/strict";
import { after, before, beforeEach, suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Sandbox } from "e2b";
import pg from "pg";
import { APP_PORT } from "../testing/fake-guest.ts";
import { TestPlatform, until } from "../testing/platform.ts";

/** Dozing: when a sandbox is frozen, and that nobody can tell. */
suite("dozing", () => {
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
	const row = async (id: string): Promise<string> =>
		(await rows.query("select state from sandboxes where id = $1", [id])).rows[0]?.state;
	const frozen = (id: string) => platform.engine.sandboxes.get(id)?.state === "frozen";
	const calls = (verb: string) => platform.engine.calls.get(verb) ?? 0;
	const create = async (rest: object = {}, metadata: Record<string, string> = {}): Promise<string> => {
		const { body } = await platform.api("POST", "/v2/sandboxes", {
			...{ templateID: "base", timeout: 600, dozeAfterMs: 200, metadata, secure: true },
			...rest,
		});
		return (body as { sandboxID: string }).sandboxID;
	};
	const end = (id: string) => Sandbox.kill(id, platform.e2b);
	/** Never freezes within twice the time it would take. */
	const staysAwake = async (id: string) => {
		const before = calls("freeze");
		await sleep(2_000);
		assert.deepEqual([frozen(id), calls("freeze")], [false, before]);
	};

	test("a quiet sandbox dozes, reads as running, and a request finds it as it was", async () => {
		const id = await create();
		assert.equal(await count(id), 1);
		await until(() => frozen(id));
		await until(async () => (await row(id)) === "dozing");
		assert.equal((await Sandbox.getInfo(id, platform.e2b)).state, "running");
		const { body } = await platform.api("GET", "/v2/sandboxes?state=running");
		assert.ok((body as { sandboxID: string }[]).some(({ sandboxID }) => sandboxID === id));
		const restores = calls("restore");
		assert.equal(await count(id), 2);
		assert.equal(calls("restore"), restores);
		await until(async () => (await row(id)) === "running");
		await until(() => frozen(id));
		await end(id);
	});

	test("many requests at once thaw it once, and who leaves stops only their own waiting", async () => {
		const id = await create();
		await until(() => frozen(id));
		platform.engine.delaysMs.set("thaw", 100);
		const before = calls("thaw");
		const leaver = platform.sandbox(id, APP_PORT, "/echo", { signal: AbortSignal.timeout(30) });
		const answers = await Promise.all([
			...Array.from({ length: 50 }, () => count(id)),
			leaver.then(
				() => 0,
				() => -1,
			),
		]);
		assert.equal(answers.pop(), -1);
		assert.deepEqual(
			answers.toSorted((a, b) => a - b),
			Array.from({ length: 50 }, (_, i) => i + 1),
		);
		assert.equal(calls("thaw") - before, 1);
		await end(id);
	});

	test("a request that comes as it is being frozen is answered", async () => {
		const id = await create();
		const before = calls("freeze");
		platform.engine.delaysMs.set("freeze", 300);
		await until(() => calls("freeze") > before);
		assert.equal(await count(id), 1);
		await end(id);
	});

	test("a request in the very moment of the decision is answered", async () => {
		const id = await create({ dozeAfterMs: 500 });
		for (let i = 1; i <= 12; i++) {
			assert.equal(await count(id), i);
			await sleep(495 + (i % 10));
		}
		await end(id);
	});

	test("what its host has to do for an idle one holds none", async () => {
		for (const more of [{}, { doze: "always" }]) {
			const id = await create(more);
			const guest = platform.engine.guest(id);
			guest.cpuMs = 1_000;
			const trouble = setInterval(() => {
				guest.cpuUsageUs += 5_000;
			}, 10);
			await until(() => frozen(id));
			clearInterval(trouble);
			await end(id);
		}
	});

	const HELD: [string, (id: string) => Promise<() => void>, object?][] = [
		[
			"an open stream",
			async (id) => {
				const leave = new AbortController();
				const stream = await platform.sandbox(id, APP_PORT, "/forever", { signal: leave.signal });
				void stream.text().catch(() => undefined);
				return () => leave.abort();
			},
		],
		[
			"a process that a client started",
			async (id) => {
				platform.engine.guest(id).processes = [{ pid: 7, cmd: "server" }];
				return () => {
					platform.engine.guest(id).processes = [];
				};
			},
		],
		[
			"work",
			async (id) => {
				const guest = platform.engine.guest(id);
				const worker = setInterval(() => {
					guest.cpuUsageUs += 5_000;
				}, 10);
				return () => clearInterval(worker);
			},
		],
		[
			"work, by its own account too",
			async (id) => {
				const guest = platform.engine.guest(id);
				guest.cpuMs = 0;
				const worker = setInterval(() => {
					guest.cpuUsageUs += 5_000;
					guest.cpuMs = Math.round(guest.cpuUsageUs / 1000);
				}, 10);
				return () => clearInterval(worker);
			},
		],
		[
			"a supervisor that does not answer",
			async (id) => {
				const guest = platform.engine.guest(id);
				guest.freeze();
				return () => guest.thaw();
			},
		],
	];
	for (const [what, hold] of HELD) {
		test(`it is held awake by ${what}, and dozes after`, async () => {
			const id = await create();
			const release = await hold(id);
			await staysAwake(id);
			release();
			await until(() => frozen(id));
			await end(id);
		});
	}

	test("`doze: always` does not mind processes; a client says so in metadata too", async () => {
		const native = await create({ doze: "always" });
		const labelled = await create(
			{ dozeAfterMs: undefined },
			{ "dormice.doze": "always", "dormice.dozeAfterMs": "300" },
		);
		for (const id of [native, labelled]) platform.engine.guest(id).processes = [{ pid: 7, cmd: "server" }];
		await until(() => frozen(native) && frozen(labelled));
		await Promise.all([native, labelled].map(end));
		assert.equal((await platform.api("POST", "/v2/sandboxes", { templateID: "base", dozeAfterMs: 5 })).status, 400);
	});

	test("with dozeAfterMs 0 it never dozes", async () => {
		const id = await create({ dozeAfterMs: 0 });
		await staysAwake(id);
		await end(id);
	});

	test("pause, timeout, metrics, connect and kill find a dozing sandbox as they find a running one", async () => {
		const id = await create();
		assert.equal(await count(id), 1);
		await until(() => frozen(id));
		assert.ok(((await platform.api("GET", `/sandboxes/${id}/metrics`)).body as object[]).length > 0);
		assert.ok(frozen(id), "metrics wake nobody");
		await Sandbox.setTimeout(id, 900_000, platform.e2b);
		assert.ok((await Sandbox.getInfo(id, platform.e2b)).endAt.getTime() > Date.now() + 800_000);
		assert.equal(await Sandbox.pause(id, platform.e2b), true);
		assert.equal((await Sandbox.getInfo(id, platform.e2b)).state, "paused");
		await Sandbox.connect(id, { ...platform.e2b, timeoutMs: 600_000 });
		assert.equal(await count(id), 2);
		await until(() => frozen(id));
		assert.equal((await platform.api("POST", `/sandboxes/${id}/connect`, { timeout: 60 })).status, 200);
		await until(() => frozen(id));
		await Sandbox.setTimeout(id, 0, platform.e2b);
		await until(async () => (await ask(id)).status === 502);
		await until(() => !platform.engine.sandboxes.has(id));
	});

	test("a pause that comes as it is being frozen waits for that", async () => {
		const id = await create();
		const before = calls("freeze");
		platform.engine.delaysMs.set("freeze", 200);
		await until(() => calls("freeze") > before);
		assert.equal((await platform.api("POST", `/sandboxes/${id}/pause`)).status, 204);
		await end(id);
	});

	test("a freeze that fails leaves it running; a thaw that fails is tried again by the next request", async () => {
		const id = await create();
		platform.engine.failures.set("freeze", { reason: "deadline_exceeded", times: 1 });
		const before = calls("freeze");
		await until(() => calls("freeze") > before);
		assert.equal(await count(id), 1);
		await until(() => frozen(id));
		platform.engine.failures.set("thaw", { reason: "engine_unavailable", times: 1 });
		assert.equal((await ask(id)).status, 503);
		assert.equal(await count(id), 2);
		await end(id);
	});

	test("one that was lost as it dozed is brought back", async () => {
		const id = await create();
		await count(id);
		await until(() => frozen(id));
		await platform.engine.lose(id);
		assert.equal((await ask(id)).status, 409);
		await until(async () => (await ask(id)).ok);
		await end(id);
	});

	test("the next server finds what dozes, whatever the row says, and leaves it dozing", async () => {
		const [known, unknown, awake] = [await create(), await create(), await create()];
		await Promise.all([known, unknown].map(count));
		await until(() => [known, unknown, awake].every(frozen));
		await until(async () => (await row(known)) === "dozing");
		await platform.stop();
		await rows.query("update sandboxes set state = 'running', epoch = epoch + 1 where id = $1", [unknown]);
		const lost = platform.engine.sandboxes.get(awake);
		if (lost !== undefined) lost.state = "running";
		lost?.guest?.thaw();
		await platform.start();
		const thaws = calls("thaw");
		await until(async () => (await row(unknown)) === "dozing");
		await until(async () => (await row(awake)) === "running" || frozen(awake));
		assert.equal(calls("thaw"), thaws);
		assert.deepEqual(await Promise.all([known, unknown, awake].map(count)), [2, 2, 1]);
		await Promise.all([known, unknown, awake].map(end));
	});

	test("the repair loop lets sandboxes doze", async () => {
		const id = await create();
		await until(() => frozen(id));
		const thaws = calls("thaw");
		const lists = calls("list");
		await until(() => calls("list") >= lists + 2, 20_000);
		assert.ok(frozen(id));
		assert.equal(calls("thaw"), thaws);
		await end(id);
	});

	test("its times in each state add up, and its changes are told in order", async () => {
		const id = await create();
		await until(async () => (await row(id)) === "dozing");
		await count(id);
		await until(async () => (await row(id)) === "running");
		const [{ state_ms: times }] = (await rows.query("select state_ms from sandboxes where id = $1", [id])).rows;
		assert.ok(times.dozing > 0 && times.running >= 200, JSON.stringify(times));
		const changes = await rows.query(
			"select from_state, to_state, reason from transitions where sandbox_id = $1 order by id",
			[id],
		);
		assert.deepEqual(
			changes.rows.map((one) => `${one.from_state} ${one.to_state} ${one.reason}`),
			["creating running api", "running dozing idle", "dozing running request"],
		);
		await end(id);
		const [{ detail }] = (await rows.query("select detail from events where sandbox_id = $1 and kind = 'killed'", [id]))
			.rows;
		assert.ok(Number(detail.runningMs) >= 200);
	});
});
