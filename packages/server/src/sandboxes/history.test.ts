import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { Sandbox } from "e2b";
import { APP_PORT } from "../testing/fake-guest.ts";
import { TestPlatform, until } from "../testing/platform.ts";
import { kept, type Stored } from "./retention.ts";

interface Generation {
	generationID: string;
	parentID: string | null;
	label: string | null;
	reason: string;
	current: boolean;
}

suite("time travel", () => {
	let platform: TestPlatform;
	before(async () => {
		platform = await TestPlatform.open();
	});
	after(() => platform[Symbol.asyncDispose]());

	const count = async (id: string) => Number(await (await platform.sandbox(id, APP_PORT, "/count")).text());
	const history = async (id: string) =>
		(await platform.api("GET", `/sandboxes/${id}/generations`)).body as Generation[];
	const checkpoint = async (id: string, label?: string) => {
		const { status, body } = await platform.api("POST", `/sandboxes/${id}/checkpoints`, { label });
		assert.equal(status, 201, JSON.stringify(body));
		return body as Generation;
	};
	const rollback = (id: string, generationID: string) =>
		platform.api("POST", `/sandboxes/${id}/rollback`, { generationID });

	test("a label names one state: a second of the same is refused, asleep or awake, and takes none away", async () => {
		const { sandboxId: id } = await Sandbox.create({ ...platform.e2b, timeoutMs: 600_000 });
		await checkpoint(id, "one");
		const again = (label: string) => platform.api("POST", `/sandboxes/${id}/checkpoints`, { label });
		const refused = async (label: string) => {
			const { status, body } = await again(label);
			assert.deepEqual([status, (body as { reason: string }).reason], [409, "already_exists"], JSON.stringify(body));
		};
		await refused("one");
		await Sandbox.pause(id, platform.e2b);
		await refused("one");
		await checkpoint(id, "two");
		await checkpoint(id, "two");
		await refused("three");
		assert.deepEqual((await history(id)).map(({ label }) => label).toSorted(), ["one", "two"]);
		assert.equal((await platform.api("DELETE", `/sandboxes/${id}/generations/one`)).status, 204);
		await Sandbox.connect(id, platform.e2b);
		await checkpoint(id, "one");
		await Sandbox.kill(id, platform.e2b);
	});

	test("back to a checkpoint and forth again, memory and disk", async () => {
		const { sandboxId: id, ...sandbox } = await Sandbox.create({ ...platform.e2b, timeoutMs: 600_000 });
		void sandbox;
		await count(id);
		const one = await checkpoint(id, "one");
		assert.deepEqual([one.parentID, one.label, one.current], [null, "one", true]);
		const at = platform.engine.sandboxes.get(id);
		if (at) at.disk = 7;
		assert.equal(await count(id), 2);
		const two = await checkpoint(id);
		assert.equal(two.parentID, one.generationID);
		assert.equal(await count(id), 3);

		const { startedAt, endAt } = await Sandbox.getInfo(id, platform.e2b);
		const { status, body } = await rollback(id, "one");
		assert.equal(status, 200, JSON.stringify(body));
		const { replacedID } = body as { replacedID: string };
		assert.equal(await count(id), 2, "memory went on from the checkpoint");
		assert.equal(platform.engine.sandboxes.get(id)?.disk, 0);
		const now = await Sandbox.getInfo(id, platform.e2b);
		assert.deepEqual([now.startedAt, now.endAt], [startedAt, endAt], "its times are its own");

		const [replaced] = await history(id);
		assert.deepEqual([replaced?.generationID, replaced?.reason], [replacedID, "rollback"]);
		assert.equal(replaced?.parentID, two.generationID);
		assert.equal((await rollback(id, replacedID)).status, 200);
		assert.equal(await count(id), 4, "as it was before the first rollback");
		assert.equal(platform.engine.openAtCheckpoint, 0);
		await Sandbox.kill(id, platform.e2b);
		await until(() => [...platform.engine.generations.values()].every(({ reason }) => reason === "template"));
	});

	test("a sleeping sandbox is rolled back without waking, and forked from any state", async () => {
		const { sandboxId: id } = await Sandbox.create(platform.e2b);
		await count(id);
		const { generationID } = await checkpoint(id, "early");
		for (let i = 0; i < 3; i++) await count(id);
		await Sandbox.pause(id, platform.e2b);
		const [slept] = await history(id);
		const { body } = await rollback(id, "early");
		assert.deepEqual(body, { generationID, replacedID: slept?.generationID });
		assert.equal((await Sandbox.getInfo(id, platform.e2b)).state, "paused");
		const { status, body: forks } = await platform.api("POST", `/sandboxes/${id}/fork`, {
			generationID: slept?.generationID,
			timeout: 60,
		});
		assert.equal(status, 201);
		const [{ sandbox } = {}] = forks as { sandbox?: { sandboxID: string } }[];
		assert.equal(await count(sandbox?.sandboxID ?? ""), 5);
		await Sandbox.connect(id, platform.e2b);
		assert.equal(await count(id), 2);
		for (const one of [id, sandbox?.sandboxID ?? ""]) await Sandbox.kill(one, platform.e2b);
	});

	test("a rollback that fails leaves the sandbox as it was", async () => {
		const { sandboxId: id } = await Sandbox.create(platform.e2b);
		await count(id);
		await checkpoint(id, "one");
		await count(id);
		platform.engine.failures.set("checkpoint", { reason: "disk_full", times: 1 });
		assert.equal((await rollback(id, "one")).status, 507);
		assert.equal(await count(id), 3, "it could not be stored");
		platform.engine.failures.set("restore", { reason: "generation_corrupt", times: 1 });
		assert.equal((await rollback(id, "one")).status, 500);
		assert.equal(await count(id), 4, "the other state could not be started");
		assert.equal((await rollback(id, "gnothing")).status, 404);
		const other = await Sandbox.create(platform.e2b);
		const foreign = await checkpoint(other.sandboxId);
		assert.equal((await rollback(id, foreign.generationID)).status, 404);
		for (const one of [id, other.sandboxId]) await Sandbox.kill(one, platform.e2b);
	});

	test("requests wait for a rollback, and a server that dies over one leaves a sandbox that sleeps in the other state", async () => {
		const { sandboxId: id } = await Sandbox.create(platform.e2b);
		await count(id);
		await checkpoint(id, "one");
		await count(id);
		platform.engine.delaysMs.set("restore", 300);
		const before = platform.engine.calls.get("restore") ?? 0;
		const rolling = rollback(id, "one");
		await until(() => (platform.engine.calls.get("restore") ?? 0) > before);
		assert.equal(await count(id), 2);
		assert.equal((await rolling).status, 200);
		platform.engine.failures.set("restore", { reason: "engine_unavailable", times: 2 });
		assert.ok((await rollback(id, "one")).status >= 500);
		assert.equal((await Sandbox.getInfo(id, platform.e2b)).state, "paused");
		platform.engine.delaysMs.clear();
		await Sandbox.connect(id, platform.e2b);
		assert.equal(await count(id), 3, "what it was before the rollback that failed");
		await Sandbox.kill(id, platform.e2b);
	});

	test("a damaged state is told with what else there is, and an event", async () => {
		const { sandboxId: id } = await Sandbox.create(platform.e2b);
		await count(id);
		const { generationID } = await checkpoint(id, "sound");
		await Sandbox.pause(id, platform.e2b);
		platform.engine.failures.set("restore", { reason: "generation_corrupt", times: 1 });
		const refused = await platform.api("POST", `/v2/sandboxes/${id}/connect`, {});
		const { message } = refused.body as { message: string };
		assert.equal(refused.status, 500);
		assert.ok(message.includes("memory: false") && message.includes(generationID), message);
		const [slept] = (await history(id)) as (Generation & { corrupt: boolean })[];
		assert.equal(slept?.corrupt, true);
		const { body } = await platform.api("GET", `/sandboxes/${id}/logs`);
		const { logEntries } = body as { logEntries: { fields: { event: string; offered?: string } }[] };
		const event = logEntries.find(({ fields }) => fields.event === "generation_corrupt");
		assert.equal(event?.fields.offered, `disk, ${generationID}`);
		assert.equal((await rollback(id, slept?.generationID ?? "")).status, 500, "not to a damaged one");
		await rollback(id, "sound");
		await Sandbox.connect(id, platform.e2b);
		assert.equal(await count(id), 2);
		await Sandbox.kill(id, platform.e2b);
	});

	test("what differs from a state, and deleting one", async () => {
		const { sandboxId: id } = await Sandbox.create(platform.e2b);
		const { generationID } = await checkpoint(id, "one");
		const at = platform.engine.sandboxes.get(id);
		if (at) at.disk = 9;
		const diff = async (query: string) =>
			((await platform.api("GET", `/sandboxes/${id}/diff?${query}`)).body as { files: unknown[] }).files;
		const changed = { path: "/disk", change: "changed", type: "file", bytesBefore: 0, bytesAfter: 9 };
		assert.deepEqual(await diff("from=one"), [changed]);
		assert.equal(platform.engine.guest(id).syncs, 1, "what the guest still held was written out first");
		await checkpoint(id, "two");
		assert.deepEqual(await diff("from=one&to=two"), [changed]);
		assert.deepEqual(await diff("from=two"), []);
		assert.equal((await platform.api("DELETE", `/sandboxes/${id}/generations/two`)).status, 409, "it grew from it");
		assert.equal((await platform.api("DELETE", `/sandboxes/${id}/generations/one`)).status, 204);
		assert.equal(platform.engine.generations.has(generationID), false);
		assert.deepEqual(
			(await history(id)).map(({ label }) => label),
			["two"],
		);
		await Sandbox.kill(id, platform.e2b);
	});
});

suite("storage", () => {
	let platform: TestPlatform;
	before(async () => {
		platform = await TestPlatform.open();
	});
	after(() => platform[Symbol.asyncDispose]());

	const history = async (id: string) =>
		((await platform.api("GET", `/sandboxes/${id}/generations`)).body as Generation[]).map(({ label }) => label ?? "-");

	test("each sandbox keeps what it says, and what is superfluous can be asked and deleted", async () => {
		const metadata = { "dormice.keepLast": "1", "dormice.keepCheckpoints": "3" };
		const { sandboxId: id } = await Sandbox.create({ ...platform.e2b, metadata });
		for (const label of ["a", "b", "c", "d"]) await platform.api("POST", `/sandboxes/${id}/checkpoints`, { label });
		await until(async () => (await history(id)).join("") === "dcb");
		for (let i = 0; i < 3; i++) {
			await Sandbox.pause(id, platform.e2b);
			await Sandbox.connect(id, platform.e2b);
		}
		await until(async () => (await history(id)).join("") === "-dcb");

		const retention = { last: 5, checkpoints: 1 };
		assert.equal((await platform.api("PUT", `/sandboxes/${id}/retention`, retention)).status, 204);
		const dry = (await platform.api("POST", "/gc", { dryRun: true })).body as {
			generationIDs: string[];
			freedBytes: number;
		};
		assert.deepEqual([dry.generationIDs.length, dry.freedBytes], [2, 198]);
		assert.equal((await history(id)).length, 4, "nothing was deleted");
		const usage = (await platform.api("GET", "/usage")).body as {
			sandboxes: { sandboxID: string; generations: number; bytes: number; sharedBytes: number; freedBytes: number }[];
			templates: { alias: string }[];
			superfluous: { generationIDs: string[] };
		};
		assert.deepEqual(usage.sandboxes, [{ sandboxID: id, generations: 4, bytes: 500, sharedBytes: 5, freedBytes: 495 }]);
		assert.deepEqual(
			usage.templates.map(({ alias }) => alias),
			["base"],
		);
		assert.deepEqual(usage.superfluous.generationIDs.toSorted(), dry.generationIDs.toSorted());
		const { body } = await platform.api("POST", "/gc");
		assert.deepEqual((body as typeof dry).generationIDs.toSorted(), dry.generationIDs.toSorted());
		assert.equal((await history(id)).join(""), "-d");
		const wrong = { templateID: "base", metadata: { "dormice.keepLast": "many" } };
		assert.equal((await platform.api("POST", "/v2/sandboxes", wrong)).status, 400);
		await Sandbox.kill(id, platform.e2b);
	});
});

test("what the retention keeps", () => {
	const at = (day: number, hour: number) => new Date(Date.UTC(2026, 0, day, hour));
	const state = (id: string, createdAt: Date, rest: Partial<Stored> = {}): Stored => ({
		id,
		createdAt,
		reason: "pause",
		corrupt: false,
		used: false,
		...rest,
	});
	const history = [
		state("a", at(1, 1)),
		state("b", at(1, 2)),
		state("c", at(2, 1), { used: true }),
		state("d", at(3, 1), { reason: "checkpoint" }),
		state("e", at(3, 2), { reason: "rollback" }),
		state("f", at(4, 1), { corrupt: true }),
		state("g", at(4, 2)),
		state("h", at(4, 3)),
	];
	const keep = (last: number, checkpoints: number, daily: number) =>
		[...kept(history, { last, checkpoints, daily }).keys()].toSorted().join("");
	assert.equal(keep(0, 0, 0), "c", "never what something starts from");
	assert.equal(keep(1, 0, 0), "ch");
	assert.equal(keep(2, 1, 0), "cegh", "a damaged one does not count");
	assert.equal(keep(0, 0, 2), "ceh", "the newest of a day, whatever it is");
	assert.equal(keep(0, 0, 9), "bceh");
	assert.equal(keep(9, 9, 0), "abcdegh");
});
