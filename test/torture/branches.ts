import assert from "node:assert/strict";
import type { Operation } from "./operation.ts";
import { Subject } from "./subject.ts";
import type { Testimony } from "./witness.ts";

/** As many forks run at the same time; the others sleep. */
const WAVE = 8;
/** Small, so that all of the forks' memories fit on the disk. */
const PARENT_MEMORY_MIB = 8;
const TIMEOUT_SECONDS = 3_600;

interface Fork {
	sandbox?: { sandboxID: string; envdAccessToken: string };
	error?: { code: number; message: string };
}

/** Those that were made. Each fails by itself, and may only for want of a place among the starts. */
function made(forks: unknown): NonNullable<Fork["sandbox"]>[] {
	return (forks as Fork[]).flatMap(({ sandbox, error }) => {
		if (error) assert.equal(error.code, 503, error.message);
		return sandbox ? [sandbox] : [];
	});
}

/** Ways on from a stored state. */
export const BRANCHES: readonly Operation[] = [
	{
		name: "forks, each a being of its own",
		weight: 1,
		run: async (subject, { platform, random }) => {
			const before = await subject.check();
			const count = random.between(1, 3);
			const beings = [before];
			for (const { sandboxID } of made(await subject.api("POST", "/fork", { count, timeout: 600 }))) {
				const fork = new Subject(platform, sandboxID, { ...subject.model });
				beings.push(await fork.check());
				await fork.mustAdd();
				await fork.check();
				await fork.kill();
			}
			mustDiffer(beings, ["hostname", "machineId", "random"]);
			await subject.mustAdd();
		},
	},
	{
		name: "rolled back to a checkpoint",
		weight: 1,
		run: async (subject, { random }) => {
			await subject.check();
			const then = { ...subject.model };
			const { generationID } = (await subject.api("POST", "/checkpoints", {})) as { generationID: string };
			for (let i = random.between(1, 4); i > 0; i--) await subject.mustAdd();
			await subject.api("POST", "/rollback", { generationID });
			Object.assign(subject.model, then);
			await subject.check();
		},
	},
	{
		name: "many forks of one state at once, each a being of its own",
		weight: 0,
		run: async (_, { platform, random, forks: count, metadata, say }) => {
			const parent = await Subject.create(platform, { memoryMiB: PARENT_MEMORY_MIB, metadata });
			const beings = [{ ...(await parent.check()), token: "" }];
			const { generationID } = (await parent.api("POST", "/checkpoints", {})) as { generationID: string };
			const then = { ...parent.model };
			const forks: Subject[] = [];
			while (forks.length < count) {
				const body = { count: Math.min(WAVE, count - forks.length), timeout: TIMEOUT_SECONDS, generationID };
				const wave = made(await parent.api("POST", "/fork", body));
				const born = wave.map(async (sandbox) => {
					const fork = new Subject(platform, sandbox.sandboxID, { ...then });
					forks.push(fork);
					beings.push({ ...(await fork.check()), token: sandbox.envdAccessToken });
					await fork.mustAdd();
					await fork.pause();
				});
				await Promise.all(born);
			}
			say(`    ${forks.length} forks`);
			assert.equal(new Set(forks.map(({ id }) => id)).size, count);
			mustDiffer(beings, ["hostname", "machineId", "random", "token"]);
			await parent.check();
			for (let i = 0; i < 2; i++) await random.pick(forks).check();
			for (const one of [parent, ...forks]) await one.kill();
		},
	},
];

type Being = Pick<Testimony, "hostname" | "machineId" | "random"> & { token?: string };

function mustDiffer(beings: readonly Being[], traits: readonly (keyof Being)[]): void {
	for (const trait of traits) {
		const values = new Set(beings.map((being) => being[trait]));
		assert.equal(values.size, beings.length, `of ${beings.length} beings some share their ${trait}`);
	}
}
