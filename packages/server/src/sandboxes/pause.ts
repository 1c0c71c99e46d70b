import { DormiceError, newId, Steps } from "@dormice/protocol";
import { tell } from "../events/record.ts";
import { runHook } from "../guest/hooks.ts";
import { Link } from "../guest/link.ts";
import { callSupervisor } from "../guest/supervisor.ts";
import { bestEffort } from "../log.ts";
import { goOn } from "./doze.ts";
import { collect, generationRow } from "./generations.ts";
import type { Host } from "./host.ts";
import { amend, move, settle } from "./move.ts";
import { changing, isOwnDoing, type Resident } from "./resident.ts";
import { awaken } from "./wake.ts";

export interface PauseOptions {
	/** False stores the disk only: the sandbox boots cold when it is woken. */
	memory: boolean;
	reason: "api" | "timeout" | "idle" | "memory";
}

/** Whether the platform does it by its own rules, so that clients are to see nothing of it. */
function isUnasked({ reason }: PauseOptions): boolean {
	return reason === "idle" || reason === "memory";
}

const SYNC_WITHIN_MS = 60_000;

/** How many pieces of the platform's own work a caller waits for. */
const MAX_TURNS = 4;

/**
 * Puts a sandbox to sleep. When this returns, its memory, processes and disk are durable as one generation and nothing
 * of it is left on the host. On failure it runs on, and the generation it had before is whole.
 */
export async function pause(host: Host, resident: Resident, options: PauseOptions): Promise<void> {
	for (let turn = 0; turn < MAX_TURNS && resident.work !== undefined && isOwnDoing(resident.work.kind); turn++) {
		await resident.work.done;
	}
	const { id, record, work } = resident;
	if (record.state === "asleep" && record.unasked && work === undefined) {
		if (options.memory) return await sleepOnAsAsked(host, resident, options);
		// What is only in memory goes to the disk first, as it would have when it ran.
		await awaken(host, resident, { memory: true, timeoutSeconds: 0, reason: "api" });
		return await pause(host, resident, options);
	}
	if (record.state === "asleep" && work === undefined) {
		throw new DormiceError("state_conflict", `Error pausing sandbox - sandbox '${id}' is already paused`);
	}
	if ((record.state !== "running" && record.state !== "dozing") || work !== undefined) {
		throw new DormiceError(
			"state_conflict",
			`Error pausing sandbox - sandbox '${id}' cannot be paused while in '${record.state}' state`,
		);
	}
	return await resident.begin("pause", () => fallAsleep(host, resident, options));
}

/**
 * Puts a dozing sandbox to sleep by the platform's own rules: to clients it goes on running. A request that comes meanwhile
 * is waited for by nobody but the step in progress; then the sandbox goes on, and what was stored is thrown away.
 */
export function fall(host: Host, resident: Resident, reason: "idle" | "memory"): Promise<void> {
	resident.wanted = new AbortController();
	return resident.begin("fall", () => fallAsleep(host, resident, { memory: true, reason }));
}

/** Its end does not come later by itself any more, and no request wakes it that may not: it is paused. */
async function sleepOnAsAsked(host: Host, resident: Resident, { reason }: PauseOptions): Promise<void> {
	await amend(host, resident, { unasked: false, endAt: new Date() }, "pausing a sandbox that sleeps");
	await tell(host.database, host.log, resident.id, { kind: "paused", reason, detail: { memory: "true" } });
}

async function fallAsleep(host: Host, resident: Resident, options: PauseOptions): Promise<void> {
	const { memory, reason } = options;
	const unasked = isUnasked(options);
	const calledOff = unasked ? resident.wanted.signal : undefined;
	const beganAtMs = performance.now();
	const address = resident.link?.address;
	const parentId = resident.record.generationId ?? undefined;
	const generationId = newId("generation");
	const steps = new Steps({ verb: "pause", sandbox: resident.id });
	host.unfinished.add(generationId);
	try {
		const known = resident.dozing ? resident.hooks : undefined;
		if (resident.dozing) await goOn(host, resident);
		const hooks = await steps.time("hooks", beforeSleep(host, resident, generationId, known));
		if (calledOff?.aborted) {
			await afterSleep(host, resident, generationId, hooks);
			return await settle(host, resident, "request");
		}
		await steps.time("checkpointing", move(host, resident, { to: "checkpointing", reason, set: { unasked } }));
		resident.detach();
		try {
			if (calledOff?.aborted) throw new Wanted();
			if (!memory && address !== undefined) await syncDisk(resident, address);
			const parent = parentId === undefined ? {} : { parentId };
			const request = { generationId, memory, reason: "pause", ...parent };
			const generation = await steps.time("checkpoint", host.engine.checkpoint(resident.id, request, calledOff));
			if (calledOff?.aborted) throw new Wanted();
			const moved = move(host, resident, {
				to: "asleep",
				set: {
					...{ generationId, generationMemory: memory, wakeHook: hooks.includes("post-wake") },
					...(unasked ? {} : { endAt: new Date() }),
				},
				event: {
					kind: unasked ? "fell_asleep" : "paused",
					reason,
					durationMs: performance.now() - beganAtMs,
					detail: { memory: `${memory}` },
				},
				also: async (queries) => {
					const { accessToken } = resident.record;
					const row = generationRow(host, generation, { sandboxId: resident.id, accessToken });
					await queries.insertInto("generations").values(row).execute();
				},
			});
			await steps.time("asleep", moved);
		} catch (cause) {
			const error = calledOff?.aborted ? new Wanted() : cause;
			await stayAwake(host, resident, { address, generationId, reason, hooks, error });
			if (error instanceof Wanted) return;
			throw error;
		}
	} finally {
		host.unfinished.delete(generationId);
	}
	await steps.time("clear", clearAway(host, resident.id));
	steps.done(host.log);
	void bestEffort(host.log, `retiring generations of ${resident.id}`, collect(host, resident.id));
}

/** Lets the sandbox prepare for its sleep. Answers the hooks it has; asks for none that is known not to be there. */
async function beforeSleep(
	host: Host,
	{ id, link }: Resident,
	generation: string,
	known: string[] | undefined,
): Promise<string[]> {
	if (link === undefined || (known !== undefined && !known.includes("pre-sleep"))) return known ?? [];
	const ran = runHook(link, { name: "pre-sleep", gapSeconds: 0, generation });
	return (await bestEffort(host.log, `running the pre-sleep hook of ${id}`, ran)) ?? [];
}

/** It was told that it would sleep, and does not: it is told that it is awake. */
async function afterSleep(host: Host, { id, link }: Resident, generation: string, hooks: string[]): Promise<void> {
	if (link === undefined || !hooks.includes("post-wake")) return;
	const ran = runHook(link, { name: "post-wake", gapSeconds: 0, generation });
	await bestEffort(host.log, `running the post-wake hook of ${id}`, ran);
}

/** Why a fall ends early: a request came. */
class Wanted extends Error {}

/** The sleeping sandbox is safe in its generation: what still stands on the host is a copy. */
export async function clearAway(host: Host, id: string): Promise<void> {
	try {
		await host.engine.destroy(id, { behind: true });
	} catch (error) {
		host.log.warn({ err: error, sandbox: id }, "a paused sandbox is still on the host; repair will clear it");
		host.repairSoon();
	}
}

interface Failure {
	address: string | undefined;
	generationId: string;
	reason?: PauseOptions["reason"];
	/** The hooks it has. */
	hooks?: string[];
	error: unknown;
}

/** After storing failed, or was called off: it goes on, unless the commit went through after all. */
export async function stayAwake(
	host: Host,
	resident: Resident,
	{ address, generationId, reason = "api", hooks = [], error }: Failure,
): Promise<void> {
	const isWanted = error instanceof Wanted;
	if (!isWanted) host.log.warn({ err: error, sandbox: resident.id }, "pausing failed");
	try {
		if (address === undefined) throw changing(resident.id);
		// Whether the commit went through decides everything: ask the row before anything is undone.
		const row = await host.database
			.selectFrom("sandboxes")
			.select(["state", "epoch"])
			.where("id", "=", resident.id)
			.executeTakeFirst();
		if (row?.state !== "checkpointing" || row.epoch !== resident.record.epoch) throw changing(resident.id);
		await host.engine.resume(resident.id);
		resident.attach(new Link({ address, httpsPorts: resident.record.network.httpsPorts, fresh: true }));
		await afterSleep(host, resident, generationId, hooks);
		const message = error instanceof Error ? error.message : String(error);
		const event = { kind: "pause_failed", reason, detail: { error: message.slice(0, 500) } } as const;
		await move(host, resident, {
			to: "running",
			set: { unasked: false },
			...(isWanted ? { reason: "request" } : { event }),
		});
		// Whoever came waits for this no longer.
		void bestEffort(host.log, `deleting ${generationId}`, host.engine.deleteGeneration(generationId));
	} catch (cause) {
		host.log.warn({ err: cause, sandbox: resident.id }, "it could not be resumed either; repair takes it over");
		host.repairSoon();
	}
}

/** A disk-only pause keeps what programs wrote, as a clean shutdown would. */
export async function syncDisk(resident: Resident, address: string): Promise<void> {
	using link = new Link({ address, fresh: false });
	const { status } = await callSupervisor(link, {
		method: "POST",
		path: "/dormice/sync",
		accessToken: resident.record.accessToken,
		timeoutMs: SYNC_WITHIN_MS,
		keepAlive: false,
	});
	if (status >= 300) throw new DormiceError("guest_unhealthy", "The sandbox could not write its files to disk.");
}
