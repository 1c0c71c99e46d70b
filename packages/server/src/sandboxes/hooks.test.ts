import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { Sandbox } from "e2b";
import { APP_PORT } from "../testing/fake-guest.ts";
import { TestPlatform, until } from "../testing/platform.ts";

/** What a sandbox's own programs are told of its sleep. */
suite("hooks", () => {
	let platform: TestPlatform;
	before(async () => {
		platform = await TestPlatform.open();
	});
	after(() => platform[Symbol.asyncDispose]());

	const count = async (id: string) => Number(await (await platform.sandbox(id, APP_PORT, "/count")).text());
	const guest = (id: string) => platform.engine.guest(id);
	const heardOf = (id: string, path: string) => guest(id).heard.filter((call) => call.path === path);
	/** The hook that the last introduction named. */
	const introduced = (id: string) =>
		(JSON.parse(heardOf(id, "/init").at(-1)?.body ?? "{}") as { hook?: { name: string; gapSeconds: number } }).hook;
	const create = async (metadata: Record<string, string> = {}) =>
		(await Sandbox.create({ ...platform.e2b, metadata, lifecycle: { onTimeout: "pause", autoResume: true } }))
			.sandboxId;

	test("before a pause and after a wake; a new sandbox is told nothing", async () => {
		const id = await create();
		assert.equal(introduced(id), undefined);
		guest(id).hooks = ["pre-sleep", "post-wake"];
		const { ran } = guest(id);
		await Sandbox.pause(id, platform.e2b);
		assert.deepEqual(ran, ["pre-sleep"]);
		assert.equal(await count(id), 1);
		assert.equal(introduced(id)?.name, "post-wake");
		await Sandbox.kill(id, platform.e2b);
	});

	test("one that falls asleep and is known to have none is not asked", async () => {
		const id = await create({ "dormice.dozeAfterMs": "200", "dormice.sleepAfterMs": "200" });
		const { heard } = guest(id);
		await until(() => !platform.engine.sandboxes.has(id));
		assert.ok(heard.some(({ path }) => path === "/dormice/activity"));
		assert.ok(!heard.some(({ path }) => path === "/dormice/hooks"));
		await Sandbox.kill(id, platform.e2b);
	});

	test("a pause that fails, and a fall that is called off, are followed by the hook for being awake", async () => {
		const id = await create({ "dormice.dozeAfterMs": "300", "dormice.sleepAfterMs": "300" });
		guest(id).hooks = ["pre-sleep", "post-wake"];
		platform.engine.failures.set("checkpoint", { reason: "disk_full", times: 1 });
		assert.equal((await platform.api("POST", `/sandboxes/${id}/pause`)).status, 507);
		assert.deepEqual(guest(id).ran, ["pre-sleep", "post-wake"]);
		const before = platform.engine.calls.get("checkpoint") ?? 0;
		platform.engine.delaysMs.set("checkpoint", 300);
		await until(() => (platform.engine.calls.get("checkpoint") ?? 0) > before);
		assert.equal(await count(id), 1);
		platform.engine.delaysMs.clear();
		assert.deepEqual(guest(id).ran, ["pre-sleep", "post-wake", "pre-sleep", "post-wake"]);
		await Sandbox.kill(id, platform.e2b);
	});
});
