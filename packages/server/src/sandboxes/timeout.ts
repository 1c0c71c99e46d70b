import { DormiceError } from "@dormice/protocol";
import { eachOf } from "../lifetime/each-of.ts";
import type { Host } from "./host.ts";
import { kill } from "./kill.ts";
import { amend } from "./move.ts";
import { pause } from "./pause.ts";
import { changing, type Resident } from "./resident.ts";

/** How many sandboxes are ended or paused at once when many run out together. */
const WIDTH = 4;
/** After a pause that failed, for example on a full disk. */
const RETRY_MS = 30_000;

/** Sets when a running sandbox runs out. `extendOnly` leaves a later end as it is. */
export async function setEnd(
	host: Host,
	resident: Resident,
	endAt: Date,
	{ extendOnly }: { extendOnly: boolean },
): Promise<void> {
	const { id, state, unasked } = resident.record;
	if (state === "asleep" && !unasked) {
		throw new DormiceError("sandbox_not_found", `Sandbox "${id}" is paused: connect to it before setting its timeout`);
	}
	if (state !== "running" && state !== "dozing" && !unasked) throw changing(id);
	if (extendOnly && resident.record.endAt >= endAt) return;
	await amend(host, resident, { endAt }, "setting a timeout");
	host.expireAt(endAt);
}

/** One turn of the timeout loop: every sandbox that ran out is paused or killed, as it was asked for. */
export async function expire(host: Host): Promise<void> {
	if (!host.table.loaded) return;
	const due = await host.database
		.selectFrom("sandboxes")
		.select("id")
		.where((where) => where.or([where("state", "in", ["running", "dozing", "failed"]), where("unasked", "=", true)]))
		.where("endAt", "<=", new Date())
		.orderBy("endAt")
		.limit(100)
		.execute();
	await eachOf(due, WIDTH, async ({ id }) => {
		const resident = host.table.get(id);
		if (resident === undefined || resident.work !== undefined || Date.now() < resident.expireNotBeforeMs) return;
		await expireOne(host, resident);
	});
}

async function expireOne(host: Host, resident: Resident): Promise<void> {
	const { autoPause, autoPauseMemory, state, endAt } = resident.record;
	// Extended since the query.
	if (endAt.getTime() > Date.now()) return;
	// One whose processes were lost is brought back first, and paused then.
	if (autoPause && state === "failed") return;
	try {
		if (autoPause) await pause(host, resident, { memory: autoPauseMemory, reason: "timeout" });
		else await kill(host, resident, "timeout");
	} catch (error) {
		resident.expireNotBeforeMs = Date.now() + RETRY_MS;
		host.log.warn({ err: error, sandbox: resident.id }, "a sandbox ran out and could not be put away; trying again");
	}
}
