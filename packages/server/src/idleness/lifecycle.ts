import { publicState, type SandboxState } from "@dormice/protocol";
import { fromDatabaseError } from "../database/database.ts";
import type { StateTimes, TransitionRow } from "../database/schema.ts";
import type { Host } from "../sandboxes/host.ts";
import type { Resident } from "../sandboxes/resident.ts";
import type { Rest } from "../sandboxes/rest.ts";
import type { Busy } from "./busiest.ts";
import type { Idleness } from "./idleness.ts";
import type { Signal } from "./signals.ts";

/** Where a sandbox is on the ladder, why, and how it came there. */
export interface Lifecycle {
	/** What clients of the API see. */
	state: "running" | "paused" | undefined;
	rung: SandboxState;
	/** Since when it is on that rung. */
	since: Date;
	rest: Rest;
	/** What holds it awake now; empty when it does not stay awake. */
	awake: Signal[];
	/** What uses CPU in it now, most first; empty when it is not up. */
	busiest: Busy[];
	/** When it falls asleep if nobody comes; undefined while it does not doze, or never does. */
	sleepsAt: Date | undefined;
	/** How long it has been on each rung, in milliseconds, this one included. */
	timesMs: StateTimes;
	/** Its last changes of state, the newest first. */
	changes: TransitionRow[];
}

export async function readLifecycle(
	host: Host,
	idleness: Idleness,
	resident: Resident,
	{ limit }: { limit: number },
): Promise<Lifecycle> {
	const [awake, changes, busiest] = await Promise.all([
		idleness.signals(resident),
		recentChanges(host, resident.id, limit),
		idleness.busiest(resident),
	]);
	const { record, dozing, turnedAt } = resident;
	const { doze, dozeAfterMs, sleepAfterMs } = record;
	const isUp = record.state === "running" || record.state === "dozing";
	const rung = isUp ? (dozing ? "dozing" : "running") : record.state;
	// The row may be behind by a moment.
	const since = rung === record.state ? record.stateSince : turnedAt;
	return {
		state: publicState(record),
		rung,
		since,
		rest: { doze, dozeAfterMs, sleepAfterMs },
		awake,
		busiest,
		sleepsAt: rung === "dozing" && sleepAfterMs > 0 ? new Date(since.getTime() + sleepAfterMs) : undefined,
		timesMs: timesUntil(record, { state: rung, since }, new Date()),
		changes,
	};
}

/** The times of a row, its last state's up to when that ended, and that of the state since. Pure. */
export function timesUntil(
	row: { state: SandboxState; stateSince: Date; stateMs: StateTimes },
	{ state, since }: { state: SandboxState; since: Date },
	now: Date,
): StateTimes {
	const times = { ...row.stateMs };
	const add = (to: SandboxState, ms: number) => {
		times[to] = (times[to] ?? 0) + Math.max(0, ms);
	};
	if (state !== row.state) add(row.state, since.getTime() - row.stateSince.getTime());
	add(state, now.getTime() - since.getTime());
	return times;
}

async function recentChanges(host: Host, id: string, limit: number): Promise<TransitionRow[]> {
	return await host.database
		.selectFrom("transitions")
		.selectAll()
		.where("sandboxId", "=", id)
		.orderBy("id", "desc")
		.limit(limit)
		.execute()
		.catch((error: unknown) => {
			throw fromDatabaseError(error, "reading a sandbox's changes of state");
		});
}
