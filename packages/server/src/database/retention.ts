import type { Database } from "./database.ts";

const HOUR_MS = 3_600_000;
const KEPT_MS = { metrics: 24 * HOUR_MS, dozes: 24 * HOUR_MS, events: 7 * 24 * HOUR_MS } as const;
const AWAKE = ["running", "dozing"] as const;

/**
 * Forgets samples and dozes after a day, other changes of state after a week, and events after a week unless their
 * sandbox still lives. How long a sandbox was in each state is kept in its row, and in the event of its end.
 */
export async function forgetOld(db: Database): Promise<void> {
	const now = Date.now();
	await db
		.deleteFrom("metrics")
		.where("at", "<", new Date(now - KEPT_MS.metrics))
		.execute();
	await db
		.deleteFrom("transitions")
		.where((where) =>
			where.or([
				where("at", "<", new Date(now - KEPT_MS.events)),
				where.and([
					where("at", "<", new Date(now - KEPT_MS.dozes)),
					where("fromState", "in", AWAKE),
					where("toState", "in", AWAKE),
				]),
			]),
		)
		.execute();
	await db
		.deleteFrom("events")
		.where("at", "<", new Date(now - KEPT_MS.events))
		.where("sandboxId", "not in", db.selectFrom("sandboxes").select("id"))
		.execute();
}
