import { DormiceError, newId } from "@dormice/protocol";
import { fromDatabaseError } from "../database/database.ts";
import type { GenerationRow } from "../database/schema.ts";
import type { Generation } from "../engine/engine.ts";
import { record as recordEvent } from "../events/record.ts";
import { Link } from "../guest/link.ts";
import { bestEffort } from "../log.ts";
import { goOn } from "./doze.ts";
import { collectSoon, findGeneration, generationRow } from "./generations.ts";
import type { Host } from "./host.ts";
import { settle } from "./move.ts";
import { changing, type Resident } from "./resident.ts";
import type { GenerationReason } from "./retention.ts";

export interface CheckpointOptions {
	reason: GenerationReason;
	/** What the caller calls it. */
	label?: string | undefined;
}

/** How many changes of somebody else's a caller waits for. */
const MAX_TURNS = 4;

/**
 * Stores a sandbox as it is now, with its memory. It stands still, and requests to it wait, until its memory and disk are
 * taken; that what was taken is made durable and recorded holds nobody up but the caller. One that sleeps is stored
 * already. On failure the sandbox goes on and nothing of the state is left.
 */
export async function checkpoint(host: Host, resident: Resident, options: CheckpointOptions): Promise<GenerationRow> {
	for (let turn = 0; turn < MAX_TURNS; turn++) {
		const { work, record } = resident;
		if (work !== undefined) {
			await work.done;
			continue;
		}
		switch (record.state) {
			case "asleep":
				if (record.generationId === null) throw changing(resident.id);
				if (options.reason === "checkpoint") await keep(host, resident, record.generationId, options.label);
				return await findGeneration(host, resident, record.generationId);
			case "running":
			case "dozing": {
				let id = "";
				await resident.begin("checkpoint", async () => {
					await requireFree(host, resident, options.label);
					if (resident.dozing) await goOn(host, resident);
					await settle(host, resident, "api");
					id = await store(host, resident, options);
				});
				collectSoon(host, resident.id);
				return await findGeneration(host, resident, id);
			}
			default:
				throw changing(resident.id);
		}
	}
	throw changing(resident.id);
}

/** What a sandbox sleeps in becomes one that somebody asked for. It has one label: another would take the first away. */
async function keep(host: Host, resident: Resident, id: string, label: string | undefined): Promise<void> {
	if (label !== undefined) {
		const found = await findGeneration(host, resident, id);
		if (found.label !== null && found.label !== label) {
			const message = `What the sandbox sleeps in is already labelled '${found.label}': use that, or wake the sandbox first.`;
			throw new DormiceError("already_exists", message);
		}
		if (found.label === null) await requireFree(host, resident, label);
	}
	await host.database
		.updateTable("generations")
		.set({ reason: "checkpoint", ...(label === undefined ? {} : { label }) })
		.where("id", "=", id)
		.execute()
		.catch((error: unknown) => {
			throw fromDatabaseError(error, "keeping a stored state");
		});
}

/** A label names one stored state of a sandbox. Throws `already_exists`. */
async function requireFree(host: Host, { id }: Resident, label: string | undefined): Promise<void> {
	if (label === undefined) return;
	const taken = await host.database
		.selectFrom("generations")
		.select(["id", "createdAt"])
		.where("sandboxId", "=", id)
		.where("label", "=", label)
		.executeTakeFirst()
		.catch((error: unknown) => {
			throw fromDatabaseError(error, "looking up a label");
		});
	if (taken === undefined) return;
	const since = `${taken.createdAt.toISOString().slice(0, 19)}Z`;
	const message = `The stored state ${taken.id} of ${since} is labelled '${label}' already: choose another label, or delete it first.`;
	throw new DormiceError("already_exists", message);
}

/** On failure the sandbox goes on, its link is open again, and nothing of the state is left. */
async function store(host: Host, resident: Resident, options: CheckpointOptions): Promise<string> {
	const beganAtMs = performance.now();
	const { id, link, record } = resident;
	if (link === undefined) throw changing(id);
	const { address } = link;
	const generationId = newId("generation");
	const parent = record.generationId === null ? {} : { parentId: record.generationId };
	let stands = true;
	const letGoOn = () => {
		stands = false;
		resident.attach(new Link({ address, httpsPorts: record.network.httpsPorts, fresh: true }));
		resident.letPass();
	};
	host.unfinished.add(generationId);
	// The engine must find no connection from outside.
	resident.detach();
	try {
		const generation = await host.engine.capture(id, { generationId, reason: options.reason, ...parent }, letGoOn);
		if (stands) letGoOn();
		await commit(host, resident, generation, options, performance.now() - beganAtMs);
		return generationId;
	} catch (error) {
		if (stands) {
			await bestEffort(host.log, `letting ${id} go on`, host.engine.resume(id));
			letGoOn();
		}
		host.repairSoon();
		await bestEffort(host.log, `deleting ${generationId}`, host.engine.deleteGeneration(generationId));
		throw error;
	} finally {
		host.unfinished.delete(generationId);
	}
}

async function commit(
	host: Host,
	resident: Resident,
	generation: Generation,
	{ reason, label }: CheckpointOptions,
	durationMs: number,
): Promise<void> {
	await resident.inTurn(async () => {
		const { id, epoch, accessToken } = resident.record;
		try {
			await host.database.transaction().execute(async (queries) => {
				const row = generationRow(host, generation, { sandboxId: id, accessToken, label });
				await queries.insertInto("generations").values(row).execute();
				const { numUpdatedRows } = await queries
					.updateTable("sandboxes")
					.set({ generationId: generation.id, generationMemory: true })
					.where("id", "=", id)
					.where("epoch", "=", epoch)
					.executeTakeFirst();
				if (numUpdatedRows !== 1n) throw changing(id);
				const detail = { generation: generation.id, for: reason, ...(label === undefined ? {} : { label }) };
				await recordEvent(queries, id, { kind: "checkpointed", reason: "api", durationMs, detail });
			});
		} catch (error) {
			throw error instanceof DormiceError ? error : fromDatabaseError(error, `recording a stored state of ${id}`);
		}
		resident.record = { ...resident.record, generationId: generation.id, generationMemory: true };
	});
}
