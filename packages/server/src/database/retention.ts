import type { Database } from "./database.ts";

const HOUR_MS = 3_600_000;
const KEPT_MS = { metrics: 24 * HOUR_MS, events: 7 * 24 * HOUR_MS } as const;

/** Forgets samples after a day, and events after a week unless their sandbox still lives. */
export async function forgetOld(db: Database): Promise<void> {
	const now = Date.now();
	await db
		.deleteFrom("metrics")
		.where("at", "<", new Date(now - KEPT_MS.metrics))
		.execute();
	await db
		.deleteFrom("events")
		.where("at", "<", new Date(now - KEPT_MS.events))
		.where("sandboxId", "not in", db.selectFrom("sandboxes").select("id"))
		.execute();
}
