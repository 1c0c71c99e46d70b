import { DormiceError, newId } from "@dormice/protocol";
import { Link } from "../guest/link.ts";
import { callSupervisor } from "../guest/supervisor.ts";
import { bestEffort } from "../log.ts";
import { goOn } from "./doze.ts";
import { collect, generationRow } from "./generations.ts";
import type { Host } from "./host.ts";
import { move } from "./move.ts";
import { changing, isOwnDoing, type Resident } from "./resident.ts";

export interface PauseOptions {
	/** False stores the disk only: the sandbox boots cold when it is woken. */
	memory: boolean;
	reason: "api" | "timeout";
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

async function fallAsleep(host: Host, resident: Resident, { memory, reason }: PauseOptions): Promise<void> {
	const beganAtMs = performance.now();
	const address = resident.link?.address;
	const parentId = resident.record.generationId ?? undefined;
	const generationId = newId("generation");
	host.unfinished.add(generationId);
	try {
		if (resident.dozing) await goOn(host, resident);
		await move(host, resident, { to: "checkpointing", reason });
		resident.detach();
		try {
			if (!memory && address !== undefined) await syncDisk(resident, address);
			const options = { generationId, memory, reason: "pause", ...(parentId === undefined ? {} : { parentId }) };
			const generation = await host.engine.checkpoint(resident.id, options);
			await move(host, resident, {
				to: "asleep",
				set: { generationId, generationMemory: memory, endAt: new Date() },
				event: { kind: "paused", reason, durationMs: performance.now() - beganAtMs, detail: { memory: `${memory}` } },
				also: async (queries) => {
					const { accessToken } = resident.record;
					const row = generationRow(generation, { sandboxId: resident.id, accessToken });
					await queries.insertInto("generations").values(row).execute();
				},
			});
		} catch (error) {
			await stayAwake(host, resident, { address, generationId, error });
			throw error;
		}
	} finally {
		host.unfinished.delete(generationId);
	}
	await clearAway(host, resident.id);
	void bestEffort(host.log, `retiring generations of ${resident.id}`, collect(host, resident.id));
}

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
	error: unknown;
}

/** After storing failed: it goes on, unless the commit went through after all. */
export async function stayAwake(
	host: Host,
	resident: Resident,
	{ address, generationId, error }: Failure,
): Promise<void> {
	host.log.warn({ err: error, sandbox: resident.id }, "pausing failed");
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
		const message = error instanceof Error ? error.message : String(error);
		await move(host, resident, {
			to: "running",
			event: { kind: "pause_failed", reason: "api", detail: { error: message.slice(0, 500) } },
		});
		await bestEffort(host.log, `deleting ${generationId}`, host.engine.deleteGeneration(generationId));
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
