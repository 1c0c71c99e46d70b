import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { GUEST, newId } from "@dormice/protocol";
import { Sandbox } from "e2b";
import pg from "pg";
import { APP_PORT } from "../testing/fake-guest.ts";
import { TestPlatform, until } from "../testing/platform.ts";

/** What the next server makes of what the last one, the engine or the host left behind. */
suite("restarts", () => {
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

	const count = async (id: string) => Number(await (await platform.sandbox(id, APP_PORT, "/count")).text());
	const state = async (id: string): Promise<string | undefined> =>
		(await rows.query("select state from sandboxes where id = $1", [id])).rows[0]?.state;
	const events = async (id: string): Promise<{ kind: string; detail: Record<string, string> }[]> =>
		(await rows.query("select kind, detail from events where sandbox_id = $1 order by id", [id])).rows;
	const set = (id: string, state: string, more = "") =>
		rows.query(`update sandboxes set state = $2, epoch = epoch + 1 ${more} where id = $1`, [id, state]);
	const create = async () => (await Sandbox.create({ ...platform.e2b, timeoutMs: 600_000 })).sandboxId;

	test("a disk that was repaired before a start is told as an event, once", async () => {
		const id = await create();
		const repairs = async () => (await events(id)).flatMap(({ detail }) => detail.repaired ?? []);
		for (const repaired of ["Entry 'a' was cleared.", ""]) {
			await Sandbox.pause(id, { ...platform.e2b, keepMemory: false });
			platform.engine.repairs = repaired;
			await Sandbox.connect(id, platform.e2b);
			assert.deepEqual(await repairs(), ["Entry 'a' was cleared."]);
		}
		await Sandbox.kill(id, platform.e2b);
	});

	test("what runs is adopted, what sleeps sleeps on", async () => {
		const awake = await create();
		const asleep = await create();
		await Promise.all([count(awake), count(asleep)]);
		await platform.api("POST", `/sandboxes/${asleep}/pause`);
		await platform.stop();
		await platform.start();
		assert.equal(await count(awake), 2);
		assert.equal((await platform.sandbox(asleep, APP_PORT, "/count")).status, 502);
		await Sandbox.connect(asleep, platform.e2b);
		assert.equal(await count(asleep), 2);
		await Promise.all([awake, asleep].map((id) => Sandbox.kill(id, platform.e2b)));
	});

	test("what lost its processes comes back from its own disk", async () => {
		const id = await create();
		await count(id);
		await platform.engine.lose(id);
		// A request to the supervisor that fails makes the repair loop look at once.
		assert.equal((await platform.sandbox(id, GUEST.supervisorPort, "/health")).status, 502);
		await until(async () => (await events(id)).at(-1)?.kind === "recovered", 2_000);
		assert.equal(await count(id), 1);
		assert.deepEqual(
			(await events(id)).map(({ kind }) => kind),
			["created", "crashed", "recovered"],
		);
		assert.equal((await events(id)).at(-1)?.detail.from, "own_disk");
		await Sandbox.kill(id, platform.e2b);
	});

	test("what lost its disk too comes back from its last generation", async () => {
		const id = await create();
		await count(id);
		await platform.api("POST", `/sandboxes/${id}/pause`);
		await Sandbox.connect(id, { ...platform.e2b, timeoutMs: 600_000 });
		await Promise.all([count(id), count(id)]);
		await platform.engine.lose(id, { disk: false });
		await platform.sandbox(id, GUEST.supervisorPort, "/health");
		await until(async () => (await events(id)).at(-1)?.kind === "recovered");
		assert.equal((await events(id)).at(-1)?.detail.from, "memory");
		assert.equal(await count(id), 2, "as it was when it was paused");
		await Sandbox.kill(id, platform.e2b);
	});

	test("what lost its disk, and whose memory cannot be read, comes back from that one's disk", async () => {
		for (const reason of ["generation_corrupt", "generation_incompatible"] as const) {
			const id = await create();
			await count(id);
			await platform.api("POST", `/sandboxes/${id}/pause`);
			await Sandbox.connect(id, { ...platform.e2b, timeoutMs: 600_000 });
			platform.engine.failures.set("restore", { reason, times: 1 });
			await platform.engine.lose(id, { disk: false });
			await platform.sandbox(id, GUEST.supervisorPort, "/health");
			await until(async () => (await events(id)).at(-1)?.kind === "recovered");
			assert.equal((await events(id)).at(-1)?.detail.from, "disk");
			assert.equal(await count(id), 1, "without what was in memory");
			await Sandbox.kill(id, platform.e2b);
		}
	});

	/** [what the dead server was doing, what it left in the row, what the next one makes of it] */
	const CRASHES: { doing: string; arrange: (id: string) => Promise<unknown>; ends: string | undefined }[] = [
		{ doing: "creating", arrange: (id) => set(id, "creating"), ends: undefined },
		{ doing: "killing", arrange: (id) => set(id, "killing"), ends: undefined },
		{ doing: "pausing, before the checkpoint", arrange: (id) => set(id, "checkpointing"), ends: "running" },
		{
			doing: "pausing, after the checkpoint",
			arrange: async (id) => {
				const sandbox = platform.engine.sandboxes.get(id);
				if (sandbox !== undefined) sandbox.state = "paused";
				await set(id, "checkpointing");
			},
			ends: "running",
		},
		{
			doing: "pausing, and the engine died as well",
			arrange: async (id) => {
				await platform.engine.lose(id);
				await set(id, "checkpointing");
			},
			ends: "running",
		},
		{ doing: "waking", arrange: (id) => set(id, "waking"), ends: "asleep" },
		{ doing: "pausing, after the commit", arrange: (id) => set(id, "asleep"), ends: "asleep" },
		{ doing: "recovering", arrange: (id) => set(id, "waking", ", recovering = true"), ends: "running" },
	];
	for (const { doing, arrange, ends } of CRASHES) {
		test(`the server died while ${doing}`, async () => {
			const id = await create();
			await platform.stop();
			await arrange(id);
			await platform.start();
			await until(async () => (await state(id)) === ends && (ends !== "running" || platform.engine.sandboxes.has(id)));
			if (ends === "running") await until(async () => (await platform.sandbox(id, APP_PORT, "/count")).ok);
			else await until(() => !platform.engine.sandboxes.has(id));
			await Sandbox.kill(id, platform.e2b);
		});
	}

	test("a repair that keeps failing waits longer each time and is told once; it is carried out when it can be", async () => {
		const id = await create();
		platform.engine.failures.set("destroy", { reason: "internal", times: 4 });
		await assert.rejects(Sandbox.kill(id, platform.e2b));
		assert.equal(await state(id), "killing");
		const began = performance.now();
		const before = platform.engine.calls.get("destroy") ?? 0;
		await until(async () => (await state(id)) === undefined, 30_000);
		// One, two and four seconds apart, whatever else asks the repair loop for a turn meanwhile.
		assert.ok(performance.now() - began > 5_000);
		assert.equal((platform.engine.calls.get("destroy") ?? 0) - before, 4);
		const told = (await events(id)).filter(({ kind }) => kind === "repair_failed");
		assert.deepEqual(
			told.map(({ detail }) => detail.repair),
			["kill"],
		);
		assert.equal(platform.engine.sandboxes.has(id), false);
	});

	test("what no row names is destroyed", async () => {
		const id = await create();
		await platform.api("POST", `/sandboxes/${id}/pause`);
		await platform.stop();
		await rows.query("delete from sandboxes where id = $1", [id]);
		const orphan = await platform.engine.plant(newId("sandbox"));
		await platform.start();
		await until(() => !platform.engine.sandboxes.has(orphan));
		await until(() => [...platform.engine.generations.values()].every(({ reason }) => reason === "template"));
	});

	test("a spare is one sandbox ahead: a create takes it, a killed server leaves it to be destroyed, a stopped one leaves none", async () => {
		await platform.stop();
		await platform.start({ spares: 1 });
		const spare = () => [...platform.engine.sandboxes.values()].find((one) => one.state === "frozen")?.id;
		await until(() => spare() !== undefined);
		const ahead = spare();
		const restores = platform.engine.calls.get("restore");
		assert.equal(await create(), ahead);
		assert.equal(platform.engine.calls.get("restore"), restores);
		assert.equal(await count(ahead ?? ""), 1);
		await until(() => spare() !== undefined);
		await platform.stop();
		assert.equal(spare(), undefined);
		await platform.start();
		assert.equal(await count(ahead ?? ""), 2);
	});

	test("a database that does not know the pool touches nothing in it", async () => {
		const id = await create();
		await platform.api("POST", `/sandboxes/${id}/pause`);
		const stored = [...platform.engine.generations.keys()];
		await platform.stop();
		await rows.query("update pools set id = 'another'");
		await platform.start({ untilReady: false });
		await until(async () => (await (await fetch(`${platform.url}/health`)).text()).includes("DATABASE_URL"));
		assert.deepEqual([...platform.engine.generations.keys()], stored);
		await platform.stop();
		await rows.query("update pools set id = 'pool-1'");
		await platform.start();
		assert.equal((await platform.api("POST", `/sandboxes/${id}/connect`, { timeout: 60 })).status, 201);
		await platform.api("DELETE", `/sandboxes/${id}`);
	});

	test("without the engine, sandboxes answer and nothing is torn down", async () => {
		const id = await create();
		await platform.engine.hangUp();
		const { status, body } = await platform.api("POST", "/v2/sandboxes", { templateID: "base" });
		assert.deepEqual([status, (body as { reason: string }).reason], [503, "engine_unavailable"]);
		assert.equal((await fetch(`${platform.url}/health`)).status, 503);
		assert.equal(await count(id), 1);
		await platform.engine.listen();
		assert.equal((await fetch(`${platform.url}/health`)).status, 204);
		assert.equal(await count(id), 2);
		await Sandbox.kill(id, platform.e2b);
	});

	test("a new engine or supervisor, or another size of sandboxes, makes a new template generation", async () => {
		const anew = async (settings = {}) => {
			const before = [...platform.engine.generations.keys()];
			await platform.start(settings);
			await until(() => platform.engine.generations.size === 1 && !platform.engine.generations.has(before[0] ?? ""));
			await Sandbox.kill(await create(), platform.e2b);
			await platform.stop();
		};
		await platform.stop();
		platform.engine.guestId = "guest-2";
		await anew();
		await anew({ memoryMib: 2048 });
		await platform.start({ memoryMib: 2048 });
	});
});
