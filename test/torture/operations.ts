import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { Sandbox } from "e2b";
import { BRANCHES } from "./branches.ts";
import { CRASHES } from "./crashes.ts";
import { NO_ROOM } from "./no-room.ts";
import type { Operation } from "./operation.ts";
import { until } from "./subject.ts";
import { TERMINALS } from "./terminals.ts";

const OF_EVERY_DAY: readonly Operation[] = [
	{
		name: "additions, some at once",
		weight: 4,
		run: async (subject, { random }) => {
			for (let i = random.between(1, 5); i > 0; i--) await subject.mustAdd();
			await Promise.all(Array.from({ length: random.between(1, 10) }, () => subject.mustAdd()));
		},
	},
	{
		name: "asleep, woken by a request",
		weight: 5,
		run: async (subject) => {
			await subject.pause();
			await subject.mustAdd();
		},
	},
	{
		name: "asleep, woken by connect",
		weight: 2,
		run: async (subject) => {
			await subject.pause();
			await subject.connect();
		},
	},
	{
		name: "a hundred first requests at once",
		weight: 1,
		run: async (subject) => {
			await subject.pause();
			await Promise.all(Array.from({ length: 100 }, () => subject.mustAdd()));
		},
	},
	{
		name: "requests at random moments of falling and waking",
		weight: 4,
		run: async (subject, { random }) => {
			const falling = subject.pause().catch(() => undefined);
			await Promise.all(
				Array.from({ length: random.between(1, 8) }, async () => {
					await sleep(random.between(0, 900));
					await until("an answer", 30_000, () => subject.mustAdd());
				}),
			);
			await falling;
		},
	},
	{
		name: "dozing, thawed by a request",
		weight: 2,
		run: async (subject, { random }) => {
			await sleep(1_500 + random.between(0, 4_000));
			await subject.mustAdd();
		},
	},
	{
		name: "one dies, another is born",
		weight: 1,
		run: async (subject, { platform }) => {
			await subject.kill();
			assert.equal(await Sandbox.kill(subject.id, platform.client), false);
		},
	},
	{
		name: "a deleted file of the disk is held open: stored by a kernel of its own, refused else, and nothing lost",
		weight: 1,
		run: async (subject, { metadata }) => {
			await subject.hold(true);
			if (metadata["dormice.isolation"] !== "microvm") {
				await assert.rejects(subject.api("POST", "/pause"), /422.*not_storable/);
				await subject.check();
				await assert.rejects(subject.api("POST", "/checkpoints", {}), /422.*not_storable/);
				await subject.mustAdd();
				await subject.hold(false);
			}
			await subject.pause();
			await subject.mustAdd();
			await subject.hold(false);
		},
	},
];

export const OPERATIONS: readonly Operation[] = [...OF_EVERY_DAY, ...TERMINALS, ...BRANCHES, ...NO_ROOM, ...CRASHES];
