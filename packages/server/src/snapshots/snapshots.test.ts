import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Sandbox, SandboxNotFoundError, TemplateError } from "e2b";
import { APP_PORT } from "../testing/fake-guest.ts";
import { TestPlatform, until } from "../testing/platform.ts";
import { parseReference } from "./name.ts";

/** Snapshots and forks, through the published `e2b` package. */
suite("snapshots and forks", () => {
	let platform: TestPlatform;
	before(async () => {
		platform = await TestPlatform.open();
	});
	after(() => platform[Symbol.asyncDispose]());

	const count = async (id: string) => Number(await (await platform.sandbox(id, APP_PORT, "/count")).text());
	const stored = (reason: string) => [...platform.engine.generations.values()].filter((one) => one.reason === reason);
	const names = async (filter: Parameters<typeof Sandbox.listSnapshots>[0] = {}) => {
		const paginator = Sandbox.listSnapshots({ ...platform.e2b, ...filter });
		const found: string[] = [];
		while (paginator.hasNext) for (const { snapshotId } of await paginator.nextItems()) found.push(snapshotId);
		return found;
	};

	test("a snapshot of a running sandbox makes others, and outlives it", async () => {
		const sandbox = await Sandbox.create({ ...platform.e2b, envs: { A: "1", B: "1" } });
		assert.equal(await count(sandbox.sandboxId), 1);
		const { snapshotId, names: none } = await sandbox.createSnapshot();
		assert.match(snapshotId, /^[a-z0-9]{20}:default$/);
		assert.deepEqual(none, []);
		assert.equal(platform.engine.openAtCheckpoint, 0, "no connection was open while it was stored");
		assert.equal(await count(sandbox.sandboxId), 2, "it went on");
		assert.equal((await sandbox.getInfo()).state, "running");
		await sandbox.kill();

		const other = await Sandbox.create(snapshotId, { ...platform.e2b, envs: { B: "2" } });
		assert.equal(await count(other.sandboxId), 2, "from where the snapshot was taken");
		assert.notEqual(other.sandboxId, sandbox.sandboxId);
		const guest = platform.engine.guest(other.sandboxId);
		assert.deepEqual(guest.memory.env, { A: "1", B: "2" });
		const { record } = await details(other.sandboxId);
		assert.equal(guest.memory.token, record.envdAccessToken, "with a token of its own");

		assert.equal(await Sandbox.deleteSnapshot(snapshotId, platform.e2b), true);
		assert.equal(await Sandbox.deleteSnapshot(snapshotId, platform.e2b), false);
		await assert.rejects(Sandbox.create(snapshotId, platform.e2b), /not found/);
		assert.equal(stored("snapshot").length, 1, "what began from it still holds it");
		await other.kill();
		await until(() => stored("snapshot").length === 0);
	});

	async function details(id: string) {
		return { record: (await platform.api("GET", `/sandboxes/${id}`)).body as { envdAccessToken?: string } };
	}

	test("a name has tags, and takes a new state", async () => {
		const sandbox = await Sandbox.create(platform.e2b);
		await count(sandbox.sandboxId);
		const first = await sandbox.createSnapshot({ name: "work" });
		assert.deepEqual(first, { snapshotId: "default/work:default", names: ["default/work:default"] });
		await count(sandbox.sandboxId);
		await sandbox.createSnapshot({ name: "default/work:v2" });
		await count(sandbox.sandboxId);
		await sandbox.createSnapshot({ name: "work" });
		const unnamed = await sandbox.createSnapshot();
		assert.deepEqual(await names(), [unnamed.snapshotId, "default/work:default", "default/work:v2"]);
		assert.deepEqual(await names({ limit: 1 }), [unnamed.snapshotId, "default/work:default", "default/work:v2"]);
		assert.deepEqual(await names({ name: "work:v2" }), ["default/work:v2"]);
		assert.deepEqual(await names({ name: "other/work" }), []);
		assert.deepEqual(await names({ sandboxId: "inothing" }), []);
		assert.equal((await names({ sandboxId: sandbox.sandboxId })).length, 3);
		for (const [reference, next] of [
			["work", 4],
			["default/work:v2", 3],
			["WORK:default", 4],
		] as const) {
			const made = await Sandbox.create(reference, platform.e2b);
			assert.equal(await count(made.sandboxId), next, reference);
			await made.kill();
		}
		await assert.rejects(Sandbox.create("work:v3", platform.e2b), /not found/);
		for (const name of ["base", "a b", "other/work", "a:b:c", "work:0b0dcc8c-5ac9-4ff7-9f4b-1c6f5a2b5d6e"]) {
			const { status } = await platform.api("POST", `/sandboxes/${sandbox.sandboxId}/snapshots`, { name });
			assert.equal(status, 400, name);
		}
		assert.equal(await Sandbox.deleteSnapshot("default/work:v2", platform.e2b), true);
		assert.equal(await Sandbox.deleteSnapshot("work", platform.e2b), true);
		assert.deepEqual(await names(), [unnamed.snapshotId]);
		assert.equal((await platform.api("DELETE", "/templates/base")).status, 403);
		await Sandbox.deleteSnapshot(unnamed.snapshotId, platform.e2b);
		await sandbox.kill();
	});

	test("a snapshot of a sleeping sandbox is what it sleeps in, and does not wake it", async () => {
		const sandbox = await Sandbox.create(platform.e2b);
		await sandbox.pause();
		const { snapshotId } = await sandbox.createSnapshot();
		assert.equal((await Sandbox.getInfo(sandbox.sandboxId, platform.e2b)).state, "paused");
		await sandbox.kill();
		const made = await Sandbox.create(snapshotId, platform.e2b);
		assert.equal(await count(made.sandboxId), 1);
		await made.kill();
		await Sandbox.deleteSnapshot(snapshotId, platform.e2b);
		await until(() => stored("pause").length === 0);
	});

	test("forks go on from where the sandbox is, each by itself", async () => {
		const sandbox = await Sandbox.create({ ...platform.e2b, metadata: { a: "b" } });
		await count(sandbox.sandboxId);
		const forks = await sandbox.fork({ count: 3, timeoutMs: 60_000 });
		const made = forks.filter((one) => one instanceof Sandbox);
		assert.equal(made.length, 3);
		for (const one of made) assert.equal(await count(one.sandboxId), 2);
		assert.equal(await count(sandbox.sandboxId), 2);
		assert.deepEqual((await made[0]?.getInfo())?.metadata, { a: "b" });
		assert.equal(stored("fork").length, 1, "one stored state for all");
		await sandbox.kill();
		assert.equal(await count(made[0]?.sandboxId ?? ""), 3, "they live on");
		for (const one of made) await one.kill();
		await until(() => stored("fork").length === 0);
	});

	test("one fork that fails takes nothing along, and what cannot be forked says so", async () => {
		const sandbox = await Sandbox.create(platform.e2b);
		platform.engine.failures.set("restore", { reason: "capacity_unavailable", times: 1 });
		const forks = await sandbox.fork({ count: 2 });
		assert.equal(forks.filter((one) => one instanceof Sandbox).length, 1);
		assert.equal(forks.filter((one) => one instanceof Error).length, 1);
		for (const one of forks) if (one instanceof Sandbox) await one.kill();
		for (const count of [0, 101]) {
			assert.equal((await platform.api("POST", `/sandboxes/${sandbox.sandboxId}/fork`, { count })).status, 400);
		}
		platform.engine.failures.set("checkpoint", { reason: "disk_full", times: 1 });
		assert.equal((await platform.api("POST", `/sandboxes/${sandbox.sandboxId}/fork`)).status, 507);
		assert.equal(await count(sandbox.sandboxId), 1, "it goes on");
		await sandbox.pause();
		await assert.rejects(sandbox.fork(), /cannot be forked while in 'paused' state/);
		await sandbox.kill();
		await assert.rejects(sandbox.fork(), SandboxNotFoundError);
		await assert.rejects(sandbox.createSnapshot(), SandboxNotFoundError);
		await assert.rejects(Sandbox.create("nothing", platform.e2b), (error) => !(error instanceof TemplateError));
	});

	test("requests that come while it is stored wait, and those that store it take turns", async () => {
		const sandbox = await Sandbox.create(platform.e2b);
		platform.engine.delaysMs.set("checkpoint", 200);
		const before = platform.engine.calls.get("checkpoint") ?? 0;
		const storing = Promise.all([sandbox.createSnapshot(), sandbox.createSnapshot()]);
		await until(() => (platform.engine.calls.get("checkpoint") ?? 0) > before);
		const answers = await Promise.all([count(sandbox.sandboxId), count(sandbox.sandboxId)]);
		assert.deepEqual(answers.toSorted(), [1, 2]);
		for (const { snapshotId } of await storing) await Sandbox.deleteSnapshot(snapshotId, platform.e2b);
		platform.engine.delaysMs.clear();
		await sandbox.kill();
	});

	test("requests go through while what was taken is made durable, and nothing else begins; that it fails cuts nobody off", async () => {
		const { sandboxId: id, ...sandbox } = await Sandbox.create(platform.e2b);
		void sandbox;
		const take = () => platform.api("POST", `/sandboxes/${id}/checkpoints`, {});
		const isStoring = async (work: () => Promise<{ status: number }>) => {
			const before = platform.engine.calls.get("store") ?? 0;
			let answered = false;
			const taking = work().finally(() => {
				answered = true;
			});
			await until(() => (platform.engine.calls.get("store") ?? 0) > before);
			return { taking, isAnswered: () => answered };
		};
		platform.engine.delaysMs.set("store", 700);
		const { taking, isAnswered } = await isStoring(take);
		const slow = platform.sandbox(id, APP_PORT, "/count");
		assert.equal(await (await slow).text(), "1");
		assert.equal(await count(id), 2);
		const refused = await platform.api("POST", `/sandboxes/${id}/pause`, {});
		assert.deepEqual([refused.status, isAnswered()], [409, false]);
		assert.equal((await taking).status, 201);

		platform.engine.failures.set("store", { reason: "disk_full", times: 1 });
		const failing = await isStoring(take);
		const leave = new AbortController();
		const stream = await platform.sandbox(id, APP_PORT, "/forever", { signal: leave.signal });
		assert.equal((await failing.taking).status, 507);
		assert.equal(await count(id), 3);
		let isCut = false;
		void stream.text().catch(() => {
			isCut = true;
		});
		await sleep(100);
		assert.equal(isCut, false);
		leave.abort();
		assert.equal(stored("checkpoint").length, 1);
		platform.engine.delaysMs.clear();
		await Sandbox.kill(id, platform.e2b);
	});

	test("a server that died while it stored lets the sandbox go on", async () => {
		const sandbox = await Sandbox.create(platform.e2b);
		assert.equal(await count(sandbox.sandboxId), 1);
		platform.engine.failures.set("resume", { reason: "engine_unavailable", times: 2 });
		await assert.rejects(sandbox.createSnapshot());
		await until(async () => platform.engine.sandboxes.get(sandbox.sandboxId)?.state === "running");
		assert.equal(await count(sandbox.sandboxId), 2);
		await until(() => stored("snapshot").length === 0);
		await sandbox.kill();
	});
});

test("what a snapshot is called", () => {
	const read = (reference: string) => {
		const parsed = parseReference(reference, "team");
		return parsed && [parsed.id ?? parsed.name, parsed.tag, parsed.tagged];
	};
	assert.deepEqual(read("a"), ["a", "default", false]);
	assert.deepEqual(read("team/A-b_1:V1.2"), ["a-b_1", "v1.2", true]);
	assert.deepEqual(read("abcdefghij0123456789:default"), ["abcdefghij0123456789", "default", true]);
	for (const wrong of ["", "other/a", "a/b/c", "a:", "a:b:c", "a b", "../a"])
		assert.equal(read(wrong), undefined, wrong);
});
