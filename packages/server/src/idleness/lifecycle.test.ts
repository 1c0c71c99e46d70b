import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { Sandbox } from "e2b";
import { APP_PORT } from "../testing/fake-guest.ts";
import { TestPlatform, until } from "../testing/platform.ts";
import { timesUntil } from "./lifecycle.ts";

interface Lifecycle {
	state: string;
	rung: string;
	awake: { signal: string; since: string; detail: string }[];
	sleepsAt?: string;
	timesMs: Record<string, number>;
	history: { from: string; to: string; reason: string; lastedMs: number }[];
}

suite("lifecycle", () => {
	let platform: TestPlatform;
	before(async () => {
		platform = await TestPlatform.open();
	});
	after(() => platform[Symbol.asyncDispose]());

	const why = async (id: string) => (await platform.api("GET", `/sandboxes/${id}/lifecycle`)).body as Lifecycle;
	const signals = async (id: string) => (await why(id)).awake.map(({ signal }) => signal);

	test("a sandbox says why it is awake, where it is, and how it came there; asking wakes nobody", async () => {
		const metadata = { "dormice.dozeAfterMs": "700", "dormice.sleepAfterMs": "1500" };
		const { sandboxId: id } = await Sandbox.create({ ...platform.e2b, metadata });
		assert.deepEqual(await signals(id), ["recent"]);
		const leave = new AbortController();
		const stream = await platform.sandbox(id, APP_PORT, "/forever", { signal: leave.signal });
		void stream.text().catch(() => undefined);
		assert.deepEqual(await signals(id), ["request"]);
		leave.abort();
		platform.engine.guest(id).processes = [{ pid: 7, cmd: "server" }];
		await until(async () => (await signals(id)).join() === "process");
		assert.match((await why(id)).awake[0]?.detail ?? "", /server \(7\)/);
		platform.engine.guest(id).processes = [];

		await until(async () => (await why(id)).rung === "dozing");
		const dozing = await why(id);
		assert.deepEqual([dozing.state, dozing.awake], ["running", []]);
		assert.ok(Date.parse(dozing.sleepsAt ?? "") > Date.now());
		await until(async () => (await why(id)).rung === "asleep");
		const asleep = await why(id);
		assert.deepEqual(
			[asleep.state, asleep.history.map(({ from, to, reason }) => `${from} ${to} ${reason}`)],
			[
				"running",
				["checkpointing asleep idle", "dozing checkpointing idle", "running dozing idle", "creating running api"],
			],
		);
		assert.ok((asleep.timesMs.dozing ?? 0) >= 1_500 && (asleep.timesMs.running ?? 0) >= 700);
		const { body } = await platform.api("GET", "/v2/sandboxes");
		assert.equal((body as { rung: string }[])[0]?.rung, "asleep");
		assert.equal((await platform.api("GET", `/sandboxes/${id}/lifecycle?limit=1`)).status, 200);
		await Sandbox.kill(id, platform.e2b);
		assert.equal((await platform.api("GET", `/sandboxes/${id}/lifecycle`)).status, 404);
	});

	test("the time of a row that is behind is split where the state changed", () => {
		const at = (ms: number) => new Date(ms);
		const row = { state: "running", stateSince: at(1_000), stateMs: { running: 10, creating: 5 } } as const;
		assert.deepEqual(timesUntil(row, { state: "running", since: at(1_000) }, at(1_300)), { running: 310, creating: 5 });
		assert.deepEqual(timesUntil(row, { state: "dozing", since: at(1_200) }, at(1_300)), {
			running: 210,
			dozing: 100,
			creating: 5,
		});
	});
});
