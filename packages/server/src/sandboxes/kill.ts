import { fromDatabaseError } from "../database/database.ts";
import { record as recordEvent } from "../events/record.ts";
import { bestEffort } from "../log.ts";
import { release } from "./generations.ts";
import type { Host } from "./host.ts";
import { move } from "./move.ts";
import { changing, type Resident } from "./resident.ts";
import { notFound } from "./table.ts";

const MAX_TURNS = 8;

/**
 * Ends a sandbox: its connections at once, then its processes, disk and stored states. Waits for a change that is under
 * way. When this throws after the decision was recorded, the repair loop carries it out.
 */
export async function kill(host: Host, resident: Resident, reason: "api" | "timeout"): Promise<void> {
	for (let turn = 0; turn < MAX_TURNS; turn++) {
		const { work } = resident;
		if (work?.kind === "kill") return await work.result;
		if (work === undefined) return await resident.begin("kill", () => end(host, resident, reason));
		await work.done;
		if (host.table.get(resident.id) === undefined) throw notFound(resident.id);
	}
	throw changing(resident.id);
}

async function end(host: Host, resident: Resident, reason: "api" | "timeout"): Promise<void> {
	if (resident.record.state !== "killing") await move(host, resident, { to: "killing", reason });
	await finishKill(host, resident, reason);
}

/** The part of a kill that follows the decision; repeating it does no harm. */
export async function finishKill(host: Host, resident: Resident, reason: "api" | "timeout" | "crash"): Promise<void> {
	const beganAtMs = performance.now();
	resident.detach();
	await host.engine.destroy(resident.id, { forget: true });
	let history: { id: string }[] = [];
	try {
		history = await host.database.selectFrom("generations").select("id").where("sandboxId", "=", resident.id).execute();
		await host.database.transaction().execute(async (queries) => {
			await queries.deleteFrom("sandboxes").where("id", "=", resident.id).execute();
			await queries.deleteFrom("metrics").where("sandboxId", "=", resident.id).execute();
			const durationMs = performance.now() - beganAtMs;
			const times = Object.fromEntries(
				Object.entries(resident.record.stateMs).map(([state, ms]) => [`${state}Ms`, `${ms}`]),
			);
			// Its row, which would tell, is deleted.
			const detail = { isolation: resident.record.isolation, ...times };
			await recordEvent(queries, resident.id, { kind: "killed", reason, durationMs, detail });
		});
	} catch (error) {
		throw fromDatabaseError(error, `ending sandbox ${resident.id}`);
	}
	host.table.remove(resident.id);
	// Those that snapshots and forks start from stay, for as long as they do.
	const { generationId } = resident.record;
	const left = new Set([...history.map(({ id }) => id), ...(generationId === null ? [] : [generationId])]);
	for (const id of left) await bestEffort(host.log, `deleting generation ${id}`, release(host, id));
}
