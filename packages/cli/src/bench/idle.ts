import { setTimeout as sleep } from "node:timers/promises";
import { Sandbox } from "e2b";
import { engineClient } from "../platform/engine.ts";
import { measureCreate } from "./bench.ts";
import type { Ladder } from "./ladder.ts";
import { round } from "./quantile.ts";

/** What one sandbox that does nothing uses of a CPU, in percent of one. */
export interface IdleCpu {
	/** Held awake by its setting. */
	awake: number;
	/** Left to itself: it dozes. */
	dozing: number;
}

const WINDOW_MS = 5_000;
/** For what a start leaves to do, and until one dozes by the platform's default. */
const SETTLE_MS = 5_000;
const MANY = 50;

export async function measureIdleCpu({ target, paths }: Pick<Ladder, "target" | "paths">): Promise<IdleCpu> {
	const client = { apiKey: target.apiKey, apiUrl: target.apiUrl, sandboxUrl: target.sandboxUrl, timeoutMs: 600_000 };
	const percent = async (metadata: Record<string, string>) => {
		const sandbox = await Sandbox.create("base", { ...client, metadata });
		try {
			await sandbox.commands.run("true");
			await sleep(SETTLE_MS);
			const engine = engineClient(paths);
			const usedUs = async () => Number((await engine.stats({ sandboxId: sandbox.sandboxId })).cpuUsageUs);
			const [before, beganAtMs] = [await usedUs(), performance.now()];
			await sleep(WINDOW_MS);
			return round((((await usedUs()) - before) / (performance.now() - beganAtMs) / 1000) * 100);
		} finally {
			await sandbox.kill();
		}
	};
	return { awake: await percent({ "dormice.dozeAfterMs": "0" }), dozing: await percent({}) };
}

/** Creates and commands while many sandboxes are left alone on the same host. */
export async function measureAmongMany({ series, target, rounds }: Pick<Ladder, "series" | "target" | "rounds">) {
	const client = { apiKey: target.apiKey, apiUrl: target.apiUrl, sandboxUrl: target.sandboxUrl, timeoutMs: 600_000 };
	const idle: Sandbox[] = [];
	try {
		for (let i = 0; i < MANY; i++) idle.push(await Sandbox.create("base", client));
		await sleep(SETTLE_MS);
		const subject = await Sandbox.create("base", client);
		idle.push(subject);
		for (let i = 0; i < rounds; i++) {
			await measureCreate(series, client, "_among_many");
			for (let n = 0; n < 3; n++) await series.time("exec_true_among_many", () => subject.commands.run("true"));
			await sleep(1_000);
		}
	} finally {
		await Promise.allSettled(idle.map((sandbox) => sandbox.kill()));
	}
}
