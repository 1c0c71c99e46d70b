import assert from "node:assert/strict";
import { readdir, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Invariants } from "./invariants.ts";
import { Subject } from "./subject.ts";
import { metadataOf, type TortureOptions, tortured, untortured } from "./torture.ts";

export interface CyclesOptions extends Pick<TortureOptions, "sandboxMiB" | "filledPercent" | "isolation" | "say"> {
	cycles: number;
}

/** What a number of pauses and wakes in a row took, and what there was after them. */
interface Stretch {
	/** The first cycle of it, from 1, and the last. */
	from: number;
	to: number;
	pauseMs: { p50: number; p99: number };
	/** From a request to the sleeping sandbox to its answer. */
	wakeMs: { p50: number; p99: number };
	/** The same of a sandbox that was made for this stretch: what the machine does besides makes both slow. */
	freshWakeMs: { p50: number; p99: number };
	poolMiB: number;
	generations: number;
	databaseMiB: number;
}

/** Of all cycles, in each of the three stretches that are compared. */
const STRETCH = 0.1;
/** So often, in those, a fresh one sleeps and wakes as well. */
const FRESH_EVERY = 5;
/** How much longer a wake may take than a fresh one's, and how much more of the pool may be taken at the end. */
const MORE_TIME = 1.5;
const MORE_POOL_MIB = 64;

/**
 * One sandbox, put to sleep and woken by a request again and again, checked each time. Says what that took at the start, in
 * the middle and at the end; throws when it grew.
 */
export async function cycle(options: CyclesOptions): Promise<Stretch[]> {
	const { cycles, say } = options;
	const platform = await tortured({ DORMICE_SANDBOX_MEMORY_MIB: String(options.sandboxMiB) });
	try {
		const memoryMiB = Math.floor((options.sandboxMiB * options.filledPercent) / 100);
		const make = () => Subject.create(platform, { memoryMiB, metadata: metadataOf(options) });
		const subject = await make();
		const invariants = await Invariants.learn(platform.data, 1);
		const length = Math.max(1, Math.floor(cycles * STRETCH));
		const middle = Math.floor((cycles - length) / 2);
		const stretches: Stretch[] = [];
		let done = 0;
		for (const from of [0, middle, cycles - length]) {
			for (; done < from; done++) await sleepAndWake(subject);
			const fresh = await make();
			const times = await stretch(subject, fresh, length);
			done += length;
			await subject.check();
			await fresh.kill();
			await invariants.hold(1);
			const found = { from: from + 1, to: done, ...times, ...(await stored(platform.data)) };
			stretches.push(found);
			say(JSON.stringify(found));
		}
		const [first, , last] = stretches;
		assert.ok(first && last);
		assert.ok(last.wakeMs.p50 < last.freshWakeMs.p50 * MORE_TIME, "a wake takes longer and longer");
		assert.ok(last.poolMiB < first.poolMiB + MORE_POOL_MIB, "the pool fills");
		assert.equal(last.generations, first.generations);
		await subject.kill();
		await invariants.hold(0);
		return stretches;
	} finally {
		await untortured(platform);
	}
}

async function stretch(subject: Subject, fresh: Subject, length: number) {
	const taken: { pauseMs: number; wakeMs: number }[] = [];
	const beside: number[] = [];
	for (let i = 0; i < length; i++) {
		taken.push(await sleepAndWake(subject));
		if (i % FRESH_EVERY === 0) beside.push((await sleepAndWake(fresh)).wakeMs);
	}
	return {
		pauseMs: quantiles(taken.map(({ pauseMs }) => pauseMs)),
		wakeMs: quantiles(taken.map(({ wakeMs }) => wakeMs)),
		freshWakeMs: quantiles(beside),
	};
}

async function sleepAndWake(subject: Subject): Promise<{ pauseMs: number; wakeMs: number }> {
	const beganAtMs = performance.now();
	await subject.pause();
	const asleepAtMs = performance.now();
	await subject.mustAdd();
	return { pauseMs: asleepAtMs - beganAtMs, wakeMs: performance.now() - asleepAtMs };
}

/** To a tenth of a millisecond. */
function quantiles(times: readonly number[]): { p50: number; p99: number } {
	const sorted = times.toSorted((a, b) => a - b);
	const at = (part: number) => Math.round((sorted[Math.floor(part * (sorted.length - 1))] ?? 0) * 10) / 10;
	return { p50: at(0.5), p99: at(0.99) };
}

async function stored(data: string): Promise<Pick<Stretch, "poolMiB" | "generations" | "databaseMiB">> {
	// Space comes back when the pool next writes down what it has.
	const pool = join(data, "pool");
	let usedBytes = Number.POSITIVE_INFINITY;
	for (let i = 0; i < 20; i++, await sleep(500)) {
		const { bsize, blocks, bfree } = await statfs(pool);
		usedBytes = Math.min(usedBytes, (blocks - bfree) * bsize);
	}
	return {
		poolMiB: Math.round(usedBytes / 2 ** 20),
		generations: (await readdir(join(pool, "generations"))).length,
		databaseMiB: Math.round((await bytesBelow(join(data, "postgres/base"))) / 2 ** 20),
	};
}

async function bytesBelow(dir: string): Promise<number> {
	const files = (await readdir(dir, { recursive: true, withFileTypes: true })).filter((one) => one.isFile());
	const sizes = files.map(
		async ({ parentPath, name }) => (await stat(join(parentPath, name)).catch(() => undefined))?.size ?? 0,
	);
	return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
