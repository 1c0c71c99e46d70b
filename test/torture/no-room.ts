import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { accessSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { FullPool } from "./full-pool.ts";
import type { Bench, Operation } from "./operation.ts";
import { type Subject, until } from "./subject.ts";

const MIB = 1 << 20;
/** What is left for a step to begin with, and run out in. */
const LITTLE_MIB = [0, 1, 16, 64] as const;
/** Where a checkpoint is when the pool runs full: before its memory, its disk, its manifest, its name and its flush. */
const STEPS = [
	"checkpoint.begin",
	"checkpoint.memory",
	"checkpoint.disk",
	"generation.manifest",
	"generation.name",
	"generation.flush",
];

const AT_EACH_STEP: readonly Operation[] = STEPS.map((step) => ({
	name: `no room in the pool at ${step}`,
	weight: 1,
	run: async (subject, { platform, alive, random, faults, say }) => {
		const leaveBytes = random.pick(step === "checkpoint.begin" ? LITTLE_MIB : [0]) * MIB;
		const metadata = random.next() < 0.5;
		for (const one of alive) await one.check();
		// What is not on the disk yet is written out by the checkpoint.
		await (await subject.connect()).files.write("some", new Blob([randomBytes(random.between(1, 8) * MIB)]));
		writeFileSync(faults, `${step} hold\n`);
		const pause = () =>
			subject.api("POST", "/pause").then(
				() => "",
				(error: Error) => error.message,
			);
		let pausing = pause();
		await until("the engine at its fault point", 60_000, async () => {
			// A pool that was full a moment ago may have no room for names yet: btrfs gives chunks back when it next cleans up.
			const early = await Promise.race([pausing, sleep(0)]);
			if (early !== undefined) {
				assert.match(early, /507.*disk_full/);
				pausing = pause();
			}
			accessSync(`${faults}.held`);
		});
		{
			using pool = new FullPool(platform.data, { leaveBytes, metadata });
			writeFileSync(faults, "");
			const failure = await pausing;
			say(
				`    ${leaveBytes / MIB} MiB left${pool.hasNoMetadata ? ", and no metadata" : ""}: ${failure.slice(0, 160) || "stored"}`,
			);
			if (failure !== "") assert.match(failure, /507.*disk_full/);
			// A microVM that changed little since it woke takes little.
			else assert.ok(step !== "checkpoint.begin" || leaveBytes > 0, "stored in no room at all");
			// It answers with the pool as it is, or not at all; never wrongly.
			for (let i = random.between(0, 3); i > 0; i--) await subject.addInVain();
		}
		for (const one of alive) await mend(one, say);
	},
}));

/** The disk full at every step of a checkpoint, really. */
export const NO_ROOM: readonly Operation[] = [
	...AT_EACH_STEP,
	{
		name: "too little room in the pool to begin a checkpoint",
		weight: 1,
		run: async (subject, { platform, random }) => {
			using _ = new FullPool(platform.data, { leaveBytes: random.between(160, 256) * MIB });
			await assert.rejects(subject.api("POST", "/pause"), /507.*disk_full/);
			// What runs is none the worse for it.
			await subject.mustAdd();
			await subject.check();
		},
	},
	{
		name: "the pool runs full under what runs",
		weight: 1,
		run: async (subject, { platform, alive, random, say }) => {
			for (const one of alive) await one.check();
			{
				using _ = new FullPool(platform.data);
				// Longer than a file system of a guest's waits with its journal.
				for (const deadline = Date.now() + random.between(2_000, 8_000); Date.now() < deadline; await sleep(100))
					await subject.addInVain();
			}
			for (const one of alive) await mend(one, say);
		},
	},
];

/**
 * A disk whose file system could not write its journal is read-only until it is mounted anew. Its memory knows of files
 * that never reached it: it sleeps without.
 */
async function mend(subject: Subject, say: Bench["say"]): Promise<void> {
	const failure = await until("an addition, or why not", 30_000, async () => {
		const why = await subject.mustAdd().then(
			() => "",
			(error: Error) => error.message,
		);
		if (why !== "" && !/EROFS|EIO/.test(why)) throw new Error(why);
		return why;
	});
	if (failure === "") return;
	say(`    ${subject.id} is read-only: back from its disk`);
	await assert.rejects(subject.api("POST", "/pause"), /422.*not_storable/);
	await subject.api("POST", "/pause", { memory: false });
	await subject.checkDisk();
	await subject.startWitness();
}
