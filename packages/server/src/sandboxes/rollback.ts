import { DormiceError, newId } from "@dormice/protocol";
import { fromDatabaseError } from "../database/database.ts";
import type { GenerationRow } from "../database/schema.ts";
import { record as recordEvent } from "../events/record.ts";
import { goOn } from "./doze.ts";
import { collectSoon, findGeneration, generationRow } from "./generations.ts";
import type { Host } from "./host.ts";
import { move } from "./move.ts";
import { clearAway, stayAwake } from "./pause.ts";
import { changing, type Resident } from "./resident.ts";
import { openRow } from "./row.ts";
import { wakeUp } from "./wake.ts";

const MAX_TURNS = 4;

export interface RolledBack {
	/** What the sandbox is again. */
	generationId: string;
	/** What it was until then: a state of its history now. */
	replacedId: string;
}

/**
 * Puts a sandbox back to a state of its history, memory and files. What it was becomes a state itself first, so that
 * nothing is lost. A sleeping one goes on sleeping, in the other state. On failure it is what it was before.
 */
export async function rollback(host: Host, resident: Resident, reference: string): Promise<RolledBack> {
	const target = await findGeneration(host, resident, reference);
	if (target.corrupt) {
		throw new DormiceError("generation_corrupt", `The stored state ${target.id} is damaged: choose another one.`);
	}
	host.unfinished.add(target.id);
	try {
		for (let turn = 0; turn < MAX_TURNS; turn++) {
			const { work, record } = resident;
			if (work !== undefined) {
				await work.done;
				continue;
			}
			let replacedId = "";
			switch (record.state) {
				case "asleep":
					await resident.begin("point", async () => {
						replacedId = await point(host, resident, target);
					});
					break;
				case "running":
				case "dozing":
					await resident.begin("rollback", async () => {
						replacedId = await replace(host, resident, target);
					});
					break;
				default:
					throw changing(resident.id);
			}
			collectSoon(host, resident.id);
			return { generationId: target.id, replacedId };
		}
		throw changing(resident.id);
	} finally {
		host.unfinished.delete(target.id);
	}
}

/** What a sleeping sandbox wakes from is another state from now on. Answers the one before. */
async function point(host: Host, resident: Resident, target: Pick<GenerationRow, "id" | "memory">): Promise<string> {
	return await resident.inTurn(() => pointNow(host, resident, target));
}

async function pointNow(host: Host, resident: Resident, target: Pick<GenerationRow, "id" | "memory">): Promise<string> {
	const { id, epoch, generationId } = resident.record;
	if (generationId === null) throw changing(id);
	try {
		resident.record = await host.database.transaction().execute(async (queries) => {
			const row = await queries
				.updateTable("sandboxes")
				.set({ generationId: target.id, generationMemory: target.memory, epoch: epoch + 1 })
				.where("id", "=", id)
				.where("epoch", "=", epoch)
				.where("state", "=", "asleep")
				.returningAll()
				.executeTakeFirst();
			if (row === undefined) throw changing(id);
			await recordEvent(queries, id, {
				kind: "rolled_back",
				reason: "api",
				detail: { to: target.id, from: generationId },
			});
			return openRow(host.vault, row, resident.record);
		});
	} catch (error) {
		throw fromDatabaseError(error, `rolling back sandbox ${id}`);
	}
	return generationId;
}

/** Puts a running sandbox to sleep in the other state, and wakes it. Answers what it was. */
async function replace(host: Host, resident: Resident, target: GenerationRow): Promise<string> {
	const beganAtMs = performance.now();
	const { id, record } = resident;
	const address = resident.link?.address;
	const timeoutSeconds = Math.max(1, Math.ceil((record.endAt.getTime() - Date.now()) / 1000));
	const generationId = newId("generation");
	const parentId = record.generationId ?? undefined;
	host.unfinished.add(generationId);
	try {
		if (resident.dozing) await goOn(host, resident);
		await move(host, resident, { to: "checkpointing", reason: "api" });
		resident.detach();
		try {
			const options = {
				generationId,
				memory: true,
				reason: "rollback",
				...(parentId === undefined ? {} : { parentId }),
			};
			const generation = await host.engine.checkpoint(id, options);
			await move(host, resident, {
				to: "asleep",
				set: { generationId: target.id, generationMemory: target.memory },
				event: {
					kind: "rolled_back",
					reason: "api",
					durationMs: performance.now() - beganAtMs,
					detail: { to: target.id, from: generationId },
				},
				also: async (queries) => {
					const row = generationRow(host, generation, { sandboxId: id, accessToken: record.accessToken });
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
	await clearAway(host, id);
	const wake = () =>
		host.starts.run(() => wakeUp(host, resident, { memory: true, timeoutSeconds, goesOn: true, reason: "api" }));
	try {
		await wake();
	} catch (error) {
		host.log.warn({ err: error, sandbox: id, to: target.id }, "a rollback did not start; going back to what it was");
		await point(host, resident, { id: generationId, memory: true });
		await wake();
		throw error;
	}
	return generationId;
}
