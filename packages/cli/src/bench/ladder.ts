import { setTimeout as sleep } from "node:timers/promises";
import { DormiceError } from "@dormice/protocol";
import { Sandbox } from "e2b";
import { engineClient } from "../platform/engine.ts";
import type { PlatformPaths } from "../platform/paths.ts";
import type { Target } from "../target.ts";
import { gateway, server } from "./guest.ts";
import { firstAnswer, request } from "./http.ts";
import type { PlainRunsc } from "./plain-runsc.ts";
import type { Series } from "./series.ts";
import { PAUSE, WAKE, worksOf } from "./steps.ts";

/** Touched memory of the programs that are woken, in MiB; at once only as many as fit into a host of 24 GiB. */
const SIZES = [
	{ label: "16mib", memoryMiB: 16, atOnce: 20 },
	{ label: "64mib", memoryMiB: 64, atOnce: 20 },
	{ label: "256mib", memoryMiB: 256, atOnce: 20 },
	{ label: "1gib", memoryMiB: 1024, atOnce: 0 },
] as const;

/** Memory of a sandbox beside what its program touches, in MiB. */
const ROOM_MIB = 200;
/** Long enough for what is done in the background to be over. */
const QUIET_MS = 2_500;

export interface Ladder {
	series: Series;
	target: Target;
	paths: PlatformPaths;
	plain: PlainRunsc;
	rounds: number;
	onLine: (line: string) => void;
}

/** What a sandbox costs on each lower rung, as far as that was measured. */
export interface Density {
	/** RAM of one that dozes, the sandbox's kernel included, in MiB. */
	dozingMiB?: number;
	/** Disk of one that is asleep: memory image and its own blocks, in MiB. */
	asleepMiB?: number;
}

type Client = { apiKey: string; apiUrl: string; sandboxUrl: string };

/** Wakes from each rung, to the whole first answer of a program inside; forks, and going back. */
export async function measureLadder(ladder: Ladder): Promise<Density> {
	const { series, target, onLine } = ladder;
	const client = { apiKey: target.apiKey, apiUrl: target.apiUrl, sandboxUrl: target.sandboxUrl };
	const density: Density = {};
	await series.part("wakes of a dozing sandbox", onLine, async () => {
		const rest = { "dormice.dozeAfterMs": "500", "dormice.doze": "always" };
		density.dozingMiB = await withServer(client, target, 64, rest, (id) => measureDozing(ladder, id, "wake_dozing"));
	});
	for (const size of SIZES) {
		await series.part(`wake_asleep_${size.label}; and plain runsc`, onLine, () =>
			withServer(client, target, size.memoryMiB, {}, (id) => measureAsleep(ladder, client, id, size)),
		);
	}
	await series.part("forks and rollbacks", onLine, async () => {
		density.asleepMiB = await withServer(client, target, 64, {}, (id) => measureForks(ladder, client, id));
	});
	return density;
}

async function withServer<T>(
	client: Client,
	target: Target,
	memoryMiB: number,
	metadata: Record<string, string>,
	work: (id: string) => Promise<T>,
): Promise<T> {
	const lifecycle = { onTimeout: "pause", autoResume: true } as const;
	const sandbox = await Sandbox.create("base", { ...client, lifecycle, metadata, timeoutMs: 3_600_000 });
	try {
		const { memoryMB } = await sandbox.getInfo();
		if (memoryMB < memoryMiB + ROOM_MIB) {
			const needed = `DORMICE_SANDBOX_MEMORY_MIB=${memoryMiB + 512}`;
			throw new DormiceError(
				"capacity_unavailable",
				`sandboxes have ${memoryMB} MiB; for this row start with ${needed}`,
			);
		}
		const command = `exec node -e '${server(memoryMiB)}' > /dev/null 2>&1`;
		// Its stream would hold the sandbox awake.
		await (await sandbox.commands.run(command, { background: true, timeoutMs: 0 })).disconnect();
		await firstAnswer(gateway(target, sandbox.sandboxId));
		return await work(sandbox.sandboxId);
	} finally {
		await sandbox.kill();
	}
}

/** Wakes of a sandbox that dozes by itself; answers the memory it takes then, in MiB. */
export async function measureDozing(
	{ series, target, paths, rounds }: Pick<Ladder, "series" | "target" | "paths" | "rounds">,
	id: string,
	name: string,
): Promise<number> {
	const engine = engineClient(paths);
	const isFrozen = async () =>
		(await engine.list({})).sandboxes.some(({ sandboxId, state }) => sandboxId === id && state === "frozen");
	let memoryBytes = 0;
	for (let i = 0; i < rounds; i++) {
		for (const deadline = Date.now() + 60_000; !(await isFrozen()); await sleep(100)) {
			if (Date.now() > deadline)
				throw new DormiceError("deadline_exceeded", `${id} does not doze. Ask: dormice why ${id}`);
		}
		memoryBytes = Number((await engine.stats({ sandboxId: id })).memoryBytes);
		await series.time(name, () => request(gateway(target, id)));
	}
	return toMiB(memoryBytes);
}

async function measureAsleep(
	{ series, target, paths, plain, rounds }: Ladder,
	client: Client,
	id: string,
	{ label, memoryMiB, atOnce }: (typeof SIZES)[number],
): Promise<void> {
	const often = memoryMiB > 100 ? Math.max(3, Math.floor(rounds / 4)) : rounds;
	await plain.checkpoint(memoryMiB);
	for (let i = 0; i < often; i++) {
		await series.time(`pause_${label}`, () => Sandbox.pause(id, client));
		await sleep(QUIET_MS);
		await series.time(`wake_asleep_${label}`, () => request(gateway(target, id)));
		await sleep(QUIET_MS);
		series.add(`runsc_restore_${label}`, await plain.restoreOnce(memoryMiB));
	}
	const works = worksOf(paths, id);
	series.explain(`pause_${label}`, PAUSE, works);
	series.explain(`wake_asleep_${label}`, WAKE, works);
	if (atOnce === 0) return;
	const forks = await forksOf(client, id, atOnce);
	try {
		for (const fork of forks) await Sandbox.pause(fork, client);
		await sleep(QUIET_MS);
		await Promise.all(
			forks.map((fork) => series.time(`wake_asleep_${label}_x20`, () => request(gateway(target, fork)))),
		);
	} finally {
		for (const fork of forks) await Sandbox.kill(fork, client);
	}
}

async function measureForks({ series, paths, rounds }: Ladder, client: Client, id: string): Promise<number> {
	for (let i = 0; i < rounds; i++) {
		const [fork] = await series.time("fork_running", () => forksOf(client, id, 1));
		if (fork !== undefined) {
			series.explain("fork_running", WAKE, worksOf(paths, fork));
			await Sandbox.kill(fork, client);
		}
		await sleep(QUIET_MS);
	}
	series.explain("fork_running", ["fork", "checkpoint"], worksOf(paths, id));
	const { generationID } = (await native(client, id, "POST", "/checkpoints", {})) as { generationID: string };
	for (let i = 0; i < Math.max(3, Math.floor(rounds / 2)); i++) {
		await series.time("rollback", () => native(client, id, "POST", "/rollback", { generationID }));
		await sleep(QUIET_MS);
	}
	await Sandbox.pause(id, client);
	const [newest] = (await native(client, id, "GET", "/generations")) as { memoryBytes: number; diskBytes: number }[];
	return newest === undefined ? 0 : toMiB(newest.memoryBytes + newest.diskBytes);
}

async function forksOf(client: Client, id: string, count: number): Promise<string[]> {
	const forks = (await native(client, id, "POST", "/fork", { count, timeout: 3_600 })) as {
		sandbox?: { sandboxID: string };
	}[];
	return forks.flatMap(({ sandbox }) => (sandbox === undefined ? [] : [sandbox.sandboxID]));
}

async function native(client: Client, id: string, method: string, path: string, body?: unknown): Promise<unknown> {
	const response = await fetch(`${client.apiUrl}/sandboxes/${id}${path}`, {
		method,
		headers: { "X-API-KEY": client.apiKey, "content-type": "application/json" },
		...(body === undefined ? {} : { body: JSON.stringify(body) }),
	});
	if (!response.ok)
		throw new DormiceError("internal", `${method} ${path}: ${response.status} ${await response.text()}`);
	return response.json();
}

function toMiB(bytes: number): number {
	return Math.round(bytes / 2 ** 20);
}
