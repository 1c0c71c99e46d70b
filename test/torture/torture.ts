import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { Sandbox } from "e2b";
import { Random } from "../../packages/server/src/testing/random.ts";
import { TestPlatform, testData } from "../platform/platform.ts";
import { assertNoSpin } from "../platform/quiet.ts";
import { Invariants } from "./invariants.ts";
import type { Bench } from "./operation.ts";
import { OPERATIONS } from "./operations.ts";
import { patience } from "./patience.ts";
import { patient, Subject } from "./subject.ts";

export interface TortureOptions {
	minutes: number;
	seed: number;
	/** Sandboxes at the same time. */
	subjects: number;
	/** The memory of each, in MiB. */
	sandboxMiB: number;
	/** How much of it its witness fills with random bytes, in percent. */
	filledPercent: number;
	/** How many forks of one state there are to be at once. */
	forks: number;
	/** What runs the sandboxes; undefined leaves it to the platform. */
	isolation: string | undefined;
	/** Only the operations whose names have this in them. */
	only?: string | undefined;
	say: (line: string) => void;
}

/** As slow as a cold boot of an emulated guest beside another may be. */
const EMULATED_TIMES = 6;
const MAX_WARNING = 2_000;
/** Whether anything spins is looked at after so many operations: it takes two seconds. */
const LOOK_EVERY = 3;

/**
 * Random operations on real sandboxes of a platform of its own, each checked against a model. Throws at the first thing
 * that is not as it must be; resolves to the number of operations that passed.
 */
export async function torture(options: TortureOptions): Promise<number> {
	const { minutes, seed, subjects, forks, say } = options;
	const random = new Random(seed);
	if (options.isolation === "microvm") patience.times = EMULATED_TIMES;
	const faults = join(testData(), "faults");
	writeFileSync(faults, "");
	const platform = await tortured({ DORMICE_FAULTS: faults, DORMICE_SANDBOX_MEMORY_MIB: String(options.sandboxMiB) });
	try {
		const memoryMiB = Math.floor((options.sandboxMiB * options.filledPercent) / 100);
		const metadata = metadataOf(options);
		const alive: Subject[] = [];
		const bench: Bench = { platform, alive, random, faults, forks, metadata, say };
		while (alive.length < subjects) alive.push(await Subject.create(platform, { memoryMiB, metadata }));
		const invariants = await Invariants.learn(platform.data, subjects);
		const deadline = Date.now() + minutes * 60_000;
		let passed = 0;
		// Every operation once, then as the dice fall.
		const operations = OPERATIONS.filter(({ name }) => name.includes(options.only ?? ""));
		const first = [...operations];
		while (Date.now() < deadline || first.length > 0) {
			const at = random.between(0, alive.length - 1);
			const subject = alive[at];
			assert.ok(subject);
			const operation = first.pop() ?? random.weighted(operations);
			const beganAtMs = performance.now();
			say(`${String(passed + 1).padStart(4)} ${subject.id} ${operation.name}`);
			await operation.run(subject, bench);
			if (operation.name.startsWith("one dies")) alive[at] = await Subject.create(platform, { memoryMiB, metadata });
			else await subject.check();
			// Emulated, everything takes as much of a CPU as it gets.
			const looks = passed % LOOK_EVERY === 0 && options.isolation !== "microvm";
			if (looks) await assertNoSpin(await (alive[at] ?? subject).connect(), operation.name);
			await invariants.hold(subjects);
			say(`     ${Math.round(performance.now() - beganAtMs)} ms`);
			passed++;
		}
		for (const subject of alive) {
			await subject.check();
			await subject.kill();
		}
		await invariants.hold(0);
		return passed;
	} catch (error) {
		// What failed is to be told, whatever becomes of the logs.
		for (const warning of await platform.lastWarnings().catch(() => [])) say(warning.slice(0, MAX_WARNING));
		throw error;
	} finally {
		writeFileSync(faults, "");
		await untortured(platform);
	}
}

/** A platform with no spares, and nothing on it of an earlier run that failed. */
export async function tortured(environment: Record<string, string>): Promise<TestPlatform> {
	const platform = await TestPlatform.up({ DORMICE_SPARES: "0", ...environment });
	rmSync(join(platform.data, "pool/filler"), { recursive: true, force: true });
	const pages = Sandbox.list(platform.client);
	while (pages.hasNext)
		for (const { sandboxId } of await pages.nextItems()) await Sandbox.kill(sandboxId, patient(platform));
	return platform;
}

/** Down, and without the settings that it would remember. */
export async function untortured(platform: TestPlatform): Promise<void> {
	await platform[Symbol.asyncDispose]();
	await rm(join(testData(), "variables.json"), { force: true });
}

export function metadataOf({ isolation }: Pick<TortureOptions, "isolation">): Record<string, string> {
	return isolation === undefined ? {} : { "dormice.isolation": isolation };
}
