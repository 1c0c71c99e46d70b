import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Sandbox } from "e2b";
import { TestPlatform, until } from "../testing/platform.ts";

type Created = { sandboxID: string; isolation: string; reason: string };
type Options = Parameters<TestPlatform["start"]>[0];
type Prepared = { isolation: string; status: string; step?: string };

describe("isolation", { timeout: 240_000 }, () => {
	let platform: TestPlatform;
	before(async () => {
		platform = await TestPlatform.open();
	});
	after(() => platform[Symbol.asyncDispose]());

	/** Another server, on a host with microVMs. */
	const withMicrovm = async (acceleration = "kvm", options: Options = {}, guestId = "guest-1") => {
		await platform.stop();
		platform.engine.drivers.set("microvm", { usable: true, acceleration });
		platform.engine.guestId = guestId;
		await platform.start(options);
	};
	const create = async (body: object = {}) => {
		const answer = await platform.api("POST", "/sandboxes", { templateID: "base", timeout: 300, ...body });
		return { status: answer.status, ...(answer.body as Created) };
	};
	const isolationOf = async (id: string) =>
		((await platform.api("GET", `/sandboxes/${id}`)).body as { isolation: string }).isolation;
	const prepared = async () => {
		const [base] = (await platform.api("GET", "/templates")).body as { isolations: Prepared[] }[];
		return Object.fromEntries((base?.isolations ?? []).map(({ isolation, status }) => [isolation, status]));
	};
	/** Of what the engine has, the templates', by isolation. */
	const stored = () =>
		[...platform.engine.generations.values()]
			.filter(({ reason }) => reason === "template")
			.map(({ isolation }) => isolation)
			.sort();

	test("a template is prepared for an isolation when it is first asked for, once, and that is kept", async () => {
		assert.deepEqual(await prepared(), { gvisor: "ready" });
		const refused = await create({ isolation: "microvm" });
		assert.deepEqual([refused.status, refused.reason], [503, "isolation_unavailable"]);

		await withMicrovm("emulated", { allowEmulation: true });
		assert.deepEqual(await prepared(), { gvisor: "ready" });
		platform.engine.delaysMs.set("checkpoint", 300);
		const boots = platform.engine.calls.get("boot") ?? 0;
		const creating = [create({ isolation: "microvm" }), create({ isolation: "microvm" })];
		await until(async () => (await prepared()).microvm === "preparing");
		for (const made of await Promise.all(creating)) assert.deepEqual([made.status, made.isolation], [201, "microvm"]);
		assert.equal(platform.engine.calls.get("boot"), boots + 1, "booted once for both");
		assert.deepEqual(await prepared(), { gvisor: "ready", microvm: "ready" });
		assert.equal((await create()).isolation, "gvisor", "who asks for nothing gets no emulation");

		await platform.stop();
		await platform.start({ allowEmulation: true });
		await until(async () => (await prepared()).microvm === "ready");
		assert.equal((await create({ isolation: "microvm" })).status, 201);
		assert.equal(platform.engine.calls.get("boot"), boots + 1, "kept by the next server");

		await platform.stop();
		await platform.start();
		assert.deepEqual(await prepared(), { gvisor: "ready" });
		const forbidden = await create({ isolation: "microvm" });
		assert.deepEqual([forbidden.status, forbidden.reason], [503, "isolation_unavailable"]);
		assert.equal(stored().includes("microvm"), true, "what is not allowed today is not thrown away");
	});

	test("with KVM it is what a sandbox gets unasked, and every answer and event says so", async () => {
		await withMicrovm();
		await until(async () => (await prepared()).microvm === "ready");
		const { sandboxID: id, isolation } = await create();
		assert.equal(isolation, "microvm");
		assert.equal(await isolationOf(id), "microvm");
		const listed = (await platform.api("GET", "/v2/sandboxes")).body as Created[];
		assert.equal(listed.find((one) => one.sandboxID === id)?.isolation, "microvm");
		await platform.api("POST", `/sandboxes/${id}/pause`);
		const woken = await platform.api("POST", `/sandboxes/${id}/connect`, { timeout: 300 });
		assert.equal((woken.body as Created).isolation, "microvm");
		const history = (await platform.api("GET", `/sandboxes/${id}/generations`)).body as Created[];
		assert.equal(history[0]?.isolation, "microvm");
		assert.equal(((await platform.api("GET", `/sandboxes/${id}/lifecycle`)).body as Created).isolation, "microvm");
		const { logs } = (await platform.api("GET", `/v2/sandboxes/${id}/logs?direction=forward`)).body as {
			logs: { fields: Record<string, string> }[];
		};
		const events = logs.filter(({ fields }) => fields.event !== undefined);
		assert.deepEqual(
			events.map(({ fields }) => [fields.event, fields.isolation]),
			[
				["created", "microvm"],
				["paused", "microvm"],
				["woken", "microvm"],
			],
		);
	});

	test("E2B clients say it in metadata, which stays as it is", async () => {
		await withMicrovm();
		const metadata = { "dormice.isolation": "gvisor", mine: "yes" };
		const { sandboxId } = await Sandbox.create({ ...platform.e2b, metadata });
		assert.equal(await isolationOf(sandboxId), "gvisor");
		assert.deepEqual((await Sandbox.getInfo(sandboxId, platform.e2b)).metadata, metadata);
	});

	test("a template says it for its sandboxes, a team the least", async () => {
		await withMicrovm();
		const set = (isolation: string | null) => platform.api("PATCH", "/templates/base/settings", { isolation });
		assert.equal((await set("gvisor")).status, 200);
		assert.equal((await create()).isolation, "gvisor");
		assert.equal((await create({ isolation: "auto" })).isolation, "microvm");

		const [team] = (await platform.api("GET", "/teams")).body as { teamID: string }[];
		const least = (minimumIsolation: string | null) =>
			platform.api("PATCH", `/teams/${team?.teamID}`, { minimumIsolation });
		assert.equal((await least("microvm")).status, 200);
		assert.equal((await create()).isolation, "microvm", "what a template says is raised");
		const refused = await create({ isolation: "gvisor" });
		assert.deepEqual([refused.status, refused.reason], [403, "isolation_below_minimum"]);
		await least(null);
		assert.equal((await create()).isolation, "gvisor");
		assert.equal((await platform.api("PATCH", "/teams/other", { minimumIsolation: null })).status, 404);
		assert.equal((await set("strong")).status, 400);
		assert.equal((await set(null)).status, 200);
	});

	test("snapshots, forks, rollbacks and wakes go on with what they start from", async () => {
		await withMicrovm();
		const { sandboxID: id } = await create({ isolation: "gvisor" });
		const { snapshotID } = (await platform.api("POST", `/sandboxes/${id}/snapshots`, {})).body as {
			snapshotID: string;
		};
		await platform.api("POST", `/sandboxes/${id}/checkpoints`, { label: "before" });
		assert.equal((await create()).isolation, "microvm");

		assert.equal((await create({ templateID: snapshotID })).isolation, "gvisor");
		const other = await create({ templateID: snapshotID, isolation: "microvm" });
		assert.deepEqual([other.status, other.reason], [409, "generation_incompatible"]);
		const forks = (await platform.api("POST", `/sandboxes/${id}/fork`, {})).body as { sandbox: Created }[];
		assert.equal(forks[0]?.sandbox.isolation, "gvisor");
		assert.equal((await platform.api("POST", `/sandboxes/${id}/rollback`, { generationID: "before" })).status, 200);
		assert.equal(await isolationOf(id), "gvisor");
		await platform.api("POST", `/sandboxes/${id}/pause`, { memory: false });
		const woken = await platform.api("POST", `/sandboxes/${id}/connect`, { timeout: 300 });
		assert.deepEqual([woken.status, (woken.body as Created).isolation], [201, "gvisor"]);
		await platform.engine.lose(id);
		const reasons = async () => {
			const { body } = await platform.api("GET", `/sandboxes/${id}/lifecycle`);
			return (body as { history: { to: string; reason: string }[] }).history.map(({ to, reason }) => `${to} ${reason}`);
		};
		await until(async () => (await reasons())[0] === "running crash", 30_000);
		assert.equal(await isolationOf(id), "gvisor");

		const [team] = (await platform.api("GET", "/teams")).body as { teamID: string }[];
		await platform.api("PATCH", `/teams/${team?.teamID}`, { minimumIsolation: "microvm" });
		assert.equal((await create({ templateID: snapshotID })).reason, "isolation_below_minimum");
		assert.equal((await platform.api("POST", `/sandboxes/${id}/fork`, {})).status, 403);
		await platform.api("PATCH", `/teams/${team?.teamID}`, { minimumIsolation: null });
	});

	test("what runs in emulation is not woken where that is not allowed", async () => {
		await withMicrovm("emulated", { allowEmulation: true });
		const { sandboxID: id } = await create({ isolation: "microvm" });
		await platform.api("POST", `/sandboxes/${id}/pause`);
		await platform.stop();
		await platform.start();
		const refused = await platform.api("POST", `/sandboxes/${id}/connect`, { timeout: 300 });
		assert.deepEqual([refused.status, (refused.body as Created).reason], [503, "isolation_unavailable"]);
		await platform.stop();
		await platform.start({ allowEmulation: true });
		assert.equal((await platform.api("POST", `/sandboxes/${id}/connect`, { timeout: 300 })).status, 201);
	});

	test("a preparation that fails is told to who asked, and the next who asks has it made", async () => {
		await withMicrovm("emulated", { allowEmulation: true }, "guest-2");
		await until(async () => (await prepared()).gvisor === "ready" && (await prepared()).microvm === undefined);
		platform.engine.failures.set("boot", { reason: "guest_unhealthy", times: 1 });
		const failed = await create({ isolation: "microvm" });
		assert.deepEqual([failed.status, failed.reason], [500, "guest_unhealthy"]);
		assert.equal((await create({ isolation: "microvm" })).status, 201);
	});

	test("spares are of what was used lately, no more than one a template", async () => {
		await withMicrovm("emulated", { allowEmulation: true, spares: 1 });
		const frozen = () => [...platform.engine.sandboxes.values()].filter(({ state }) => state === "frozen");
		const kinds = () =>
			frozen()
				.map(({ isolation }) => isolation)
				.join();
		await until(() => kinds() === "gvisor");
		for (let i = 0; i < 3; i++) assert.equal((await create({ isolation: "microvm" })).status, 201);
		await until(() => kinds() === "microvm");
		// The engine has it a moment before the server knows.
		await sleep(500);
		const [spare] = frozen();
		assert.equal((await create({ isolation: "microvm" })).sandboxID, spare?.id, "thawed, not restored");
	});

	test("a new engine or supervisor has them prepared anew when they are asked for", async () => {
		await withMicrovm("emulated", { allowEmulation: true }, "guest-3");
		await until(() => stored().join() === "gvisor");
		assert.deepEqual(await prepared(), { gvisor: "ready" });
		assert.equal((await create({ isolation: "microvm" })).isolation, "microvm");
		assert.deepEqual(stored(), ["gvisor", "microvm"]);
	});
});
