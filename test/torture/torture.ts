import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Sandbox } from "e2b";
import { census, TestPlatform, testData } from "../platform/platform.ts";
import { type Bench, OPERATIONS } from "./operations.ts";
import { Random } from "./random.ts";
import { Subject } from "./subject.ts";

export interface TortureOptions {
	minutes: number;
	seed: number;
	/** Sandboxes at the same time. */
	subjects: number;
	/** Random bytes that each witness holds, in MiB. */
	memoryMiB: number;
	say: (line: string) => void;
}

/** Counts that must stay in step with the number of sandboxes. */
const COUNTED = ["mounts", "cgroups", "loopDevices", "disks", "sentries"] as const;
const SETTLED_WITHIN_MS = 20_000;

/**
 * Random operations on real sandboxes of a platform of its own, each checked against a model. Throws at the first thing
 * that is not as it must be; resolves to the number of operations that passed.
 */
export async function torture({ minutes, seed, subjects, memoryMiB, say }: TortureOptions): Promise<number> {
	const random = new Random(seed);
	const faults = join(testData(), "faults");
	writeFileSync(faults, "");
	const platform = await TestPlatform.up({ DORMICE_SPARES: "0", DORMICE_FAULTS: faults });
	try {
		const bench: Bench = { platform, random, faults, say };
		await killAll(platform);
		const alive: Subject[] = [];
		while (alive.length < subjects) alive.push(await Subject.create(platform, memoryMiB));
		const perSandbox = await census(platform.data);
		const deadline = Date.now() + minutes * 60_000;
		let passed = 0;
		// Every operation once, then as the dice fall.
		const first = [...OPERATIONS];
		while (Date.now() < deadline || first.length > 0) {
			const at = random.between(0, alive.length - 1);
			const subject = alive[at];
			assert.ok(subject);
			const operation = first.pop() ?? random.weighted(OPERATIONS);
			const beganAtMs = performance.now();
			say(`${String(passed + 1).padStart(4)} ${subject.id} ${operation.name}`);
			await operation.run(subject, bench);
			if (operation.name.startsWith("one dies")) alive[at] = await Subject.create(platform, memoryMiB);
			else await subject.check();
			await inStep(platform.data, perSandbox, subjects);
			say(`     ${Math.round(performance.now() - beganAtMs)} ms`);
			passed++;
		}
		for (const subject of alive) {
			await subject.check();
			await subject.kill();
		}
		await inStep(platform.data, perSandbox, 0, subjects);
		return passed;
	} finally {
		writeFileSync(faults, "");
		await platform[Symbol.asyncDispose]();
		await rm(join(testData(), "variables.json"), { force: true });
	}
}

/** What an earlier run that failed left to be looked at. */
async function killAll({ client }: TestPlatform): Promise<void> {
	const pages = Sandbox.list(client);
	while (pages.hasNext) for (const { sandboxId } of await pages.nextItems()) await Sandbox.kill(sandboxId, client);
}

/** As many mounts, cgroups, disks and processes as so many sandboxes need, and no more. */
async function inStep(data: string, atStart: Record<string, number>, now: number, then = now): Promise<void> {
	const expected = Object.fromEntries(COUNTED.map((name) => [name, ((atStart[name] ?? 0) / then) * now]));
	for (const deadline = Date.now() + SETTLED_WITHIN_MS; ; await sleep(100)) {
		const found = await census(data);
		const actual = Object.fromEntries(COUNTED.map((name) => [name, found[name] ?? 0]));
		if (JSON.stringify(actual) === JSON.stringify(expected)) return;
		if (Date.now() > deadline) assert.deepEqual(actual, expected, "the host has more or less than its sandboxes need");
	}
}
