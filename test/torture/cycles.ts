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
	poolMiB: number;
	generations: number;
	databaseMiB: number;
}

/** Of all cycles, in each of the three stretches that are compared. */
const STRETCH = 0.1;
/** How much more a wake may take at the end, and how much more of the pool may be taken. */
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
		const subject = await Subject.create(platform, { memoryMiB, metadata: metadataOf(options) });
		const invariants = await Invariants.learn(platform.data, 1);
		const length = Math.max(1, Math.floor(cycles * STRETCH));
		const middle = Math.floor((cycles - length) / 2);
		const ends = new Map([length, middle + length, cycles].map((to) => [to, to - length + 1]));
		const pauses: number[] = [];
		const wakes: number[] = [];
		const stretches: Stretch[] = [];
		for (let done = 1; done <= cycles; done++) {
			pauses.push(await timed(() => subject.pause()));
			wakes.push(await timed(() => subject.mustAdd()));
			const from = ends.get(done);
			if (from === undefined) continue;
			await subject.check();
			await invariants.hold(1);
			const of = (times: number[]) => ({ p50: quantile(times, 0.5, length), p99: quantile(times, 0.99, length) });
			const stretch = { from, to: done, pauseMs: of(pauses), wakeMs: of(wakes), ...(await stored(platform.data)) };
			stretches.push(stretch);
			say(JSON.stringify(stretch));
		}
		const [first, , last] = stretches;
		assert.ok(first && last);
		assert.ok(last.wakeMs.p50 < first.wakeMs.p50 * MORE_TIME, "a wake takes longer and longer");
		assert.ok(last.poolMiB < first.poolMiB + MORE_POOL_MIB, "the pool fills");
		assert.equal(last.generations, first.generations);
		await subject.kill();
		await invariants.hold(0);
		return stretches;
	} finally {
		await untortured(platform);
	}
}

async function timed(work: () => Promise<unknown>): Promise<number> {
	const beganAtMs = performance.now();
	await work();
	return performance.now() - beganAtMs;
}

/** Of the last `length` times, to a tenth of a millisecond. */
function quantile(times: readonly number[], part: number, length: number): number {
	const sorted = times.slice(-length).toSorted((a, b) => a - b);
	return Math.round((sorted[Math.floor(part * (sorted.length - 1))] ?? 0) * 10) / 10;
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
