import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Sandbox, SandboxNotFoundError } from "e2b";
import { APP_PORT } from "../testing/fake-guest.ts";
import { TestPlatform, until } from "../testing/platform.ts";

/** The life of a sandbox, through the published `e2b` package. */
suite("life", () => {
	let platform: TestPlatform;
	before(async () => {
		platform = await TestPlatform.open();
	});
	after(() => platform[Symbol.asyncDispose]());

	const count = async (id: string) => Number(await (await platform.sandbox(id, APP_PORT, "/count")).text());

	test("create answers when the supervisor knows who it is", async () => {
		const sandbox = await Sandbox.create({ ...platform.e2b, envs: { A: "1" }, metadata: { user: "x" } });
		const init = platform.engine.guest(sandbox.sandboxId).heard.find(({ path }) => path === "/init");
		const body = JSON.parse(init?.body ?? "{}") as Record<string, unknown>;
		assert.deepEqual(body.envVars, { A: "1" });
		assert.equal(body.sandboxID, sandbox.sandboxId);
		assert.match(String(body.accessToken), /^[0-9a-f]{64}$/);
		assert.equal(await sandbox.isRunning(), true);
		const info = await sandbox.getInfo();
		assert.deepEqual([info.state, info.metadata, info.cpuCount], ["running", { user: "x" }, 2]);
		await sandbox.kill();
	});

	test("pause keeps memory, leaves nothing on the host, and connect brings it back", async () => {
		const sandbox = await Sandbox.create(platform.e2b);
		const id = sandbox.sandboxId;
		assert.equal(await count(id), 1);
		assert.equal(await sandbox.pause(), true);
		assert.equal(await sandbox.pause(), false, "already paused");
		assert.equal(platform.engine.sandboxes.has(id), false);
		assert.equal(platform.engine.openAtCheckpoint, 0, "no connection was open at the checkpoint");
		assert.equal(await sandbox.isRunning(), false);
		assert.equal((await Sandbox.getInfo(id, platform.e2b)).state, "paused");
		const again = await Sandbox.connect(id, { ...platform.e2b, timeoutMs: 60_000 });
		assert.equal(await again.isRunning(), true);
		assert.equal(await count(id), 2, "the counter went on");
		const pauses = () => [...platform.engine.generations.values()].filter(({ reason }) => reason === "pause").length;
		for (let more = 0; more < 3; more++) {
			await again.pause();
			await Sandbox.connect(id, platform.e2b);
		}
		// The one it woke from and the one before it are kept; the others are retired in the background.
		await until(() => pauses() === 2);
		await again.kill();
		await until(() => [...platform.engine.generations.values()].every(({ reason }) => reason === "template"));
	});

	test("a pause without memory syncs and boots cold", async () => {
		const sandbox = await Sandbox.create(platform.e2b);
		const id = sandbox.sandboxId;
		await count(id);
		const guest = platform.engine.guest(id);
		await sandbox.pause({ keepMemory: false });
		assert.equal(guest.syncs, 1);
		await Sandbox.connect(id, platform.e2b);
		assert.equal(await count(id), 1, "its processes began anew");
		await sandbox.kill();
	});

	test("kill: at once, also of a paused one, and for ever", async () => {
		const sandbox = await Sandbox.create(platform.e2b);
		const stream = await platform.sandbox(sandbox.sandboxId, APP_PORT, "/forever");
		assert.equal(await sandbox.kill(), true);
		await assert.rejects(stream.text(), "its streams broke");
		assert.equal(await sandbox.isRunning(), false);
		assert.equal(await sandbox.kill(), false);
		await assert.rejects(Sandbox.getInfo(sandbox.sandboxId, platform.e2b), SandboxNotFoundError);
		await assert.rejects(Sandbox.connect(sandbox.sandboxId, platform.e2b), SandboxNotFoundError);
		const paused = await Sandbox.create(platform.e2b);
		await paused.pause();
		assert.equal(await paused.kill(), true);
	});

	test("a timeout kills or pauses, and can be changed", async () => {
		const doomed = await Sandbox.create({ ...platform.e2b, timeoutMs: 60_000 });
		await doomed.setTimeout(0);
		await until(async () => !(await doomed.isRunning()));
		await assert.rejects(doomed.getInfo(), SandboxNotFoundError);

		const sleepy = await Sandbox.create({
			...platform.e2b,
			timeoutMs: 60_000,
			lifecycle: { onTimeout: "pause", autoResume: true },
		});
		await sleepy.setTimeout(0);
		await until(async () => (await Sandbox.getInfo(sleepy.sandboxId, platform.e2b)).state === "paused");
		assert.equal(await count(sleepy.sandboxId), 1, "a request woke it");
		const { endAt } = await Sandbox.getInfo(sleepy.sandboxId, platform.e2b);
		assert.ok(endAt.getTime() > Date.now() + 250_000, "with at least five minutes");
		await sleepy.kill();
	});

	test("connect extends and never shortens", async () => {
		const sandbox = await Sandbox.create({ ...platform.e2b, timeoutMs: 600_000 });
		const before = (await sandbox.getInfo()).endAt;
		await Sandbox.connect(sandbox.sandboxId, { ...platform.e2b, timeoutMs: 10_000 });
		assert.deepEqual((await sandbox.getInfo()).endAt, before);
		await Sandbox.connect(sandbox.sandboxId, { ...platform.e2b, timeoutMs: 900_000 });
		assert.ok((await sandbox.getInfo()).endAt > before);
		await sandbox.kill();
	});

	test("a start that fails leaves nothing behind", async () => {
		platform.engine.failures.set("restore", { reason: "capacity_unavailable", times: 1 });
		const { status, headers, body } = await platform.api("POST", "/v2/sandboxes", { templateID: "base" });
		assert.deepEqual([status, (body as { reason: string }).reason], [429, "capacity_unavailable"]);
		assert.ok(headers.get("retry-after"));
		assert.equal(platform.engine.sandboxes.size, 0);
		assert.deepEqual((await platform.api("GET", "/v2/sandboxes")).body, []);
	});

	test("a pause that fails leaves the sandbox running and the generation before whole", async () => {
		const sandbox = await Sandbox.create(platform.e2b);
		const id = sandbox.sandboxId;
		await sandbox.pause();
		await Sandbox.connect(id, platform.e2b);
		const generations = [...platform.engine.generations.keys()];
		platform.engine.failures.set("checkpoint", { reason: "disk_full", times: 1 });
		assert.equal((await platform.api("POST", `/sandboxes/${id}/pause`)).status, 507);
		assert.equal(await sandbox.isRunning(), true);
		assert.deepEqual([...platform.engine.generations.keys()], generations);
		await sandbox.kill();
	});

	test("a waking that fails leaves it asleep, and the next one succeeds", async () => {
		const sandbox = await Sandbox.create(platform.e2b);
		await sandbox.pause();
		platform.engine.failures.set("restore", { reason: "generation_corrupt", times: 1 });
		await assert.rejects(Sandbox.connect(sandbox.sandboxId, platform.e2b));
		assert.equal((await Sandbox.getInfo(sandbox.sandboxId, platform.e2b)).state, "paused");
		await Sandbox.connect(sandbox.sandboxId, platform.e2b);
		await sandbox.kill();
	});

	test("one that answers nobody after it was woken is woken anew; one that has answered is left alone", async () => {
		await platform.stop();
		await platform.start({ answerWithinMs: 200 });
		const sandbox = await Sandbox.create({ ...platform.e2b, lifecycle: { onTimeout: "pause", autoResume: true } });
		const id = sandbox.sandboxId;
		const count = () => platform.sandbox(id, APP_PORT, "/count");
		assert.equal(await (await count()).text(), "1");
		await sandbox.pause();
		platform.engine.silentRestores = 1;
		assert.ok((await count()).status >= 500);
		await until(async () => (await count()).status === 200);
		assert.equal(platform.engine.guest(id).memory.counter, 2);
		const { body } = await platform.api("GET", `/v2/sandboxes/${id}/logs`);
		assert.match(JSON.stringify(body), /Woken anew/);

		await sandbox.pause();
		assert.equal(await (await count()).text(), "3");
		const guest = platform.engine.guest(id);
		guest.freeze();
		await sleep(1_000);
		assert.equal(platform.engine.guest(id), guest);
		guest.thaw();
		assert.equal(await (await count()).text(), "4");
		await sandbox.kill();
		await platform.stop();
		await platform.start();
	});

	test("metrics and logs", async () => {
		const sandbox = await Sandbox.create(platform.e2b);
		const [metric] = await sandbox.getMetrics();
		assert.deepEqual([metric?.memTotal, metric?.diskTotal, metric?.cpuCount], [4000, 13, 2]);
		const logs = await platform.api("GET", `/sandboxes/${sandbox.sandboxId}/logs`);
		const { logEntries } = logs.body as { logEntries: { fields: { event: string } }[] };
		assert.deepEqual(
			logEntries.map(({ fields }) => fields.event),
			["created"],
		);
		await sandbox.kill();
	});
});
