import { fromDatabaseError } from "../database/database.ts";
import type { Metric } from "../database/schema.ts";
import { bestEffort } from "../log.ts";
import type { Host } from "../sandboxes/host.ts";
import type { Resident } from "../sandboxes/resident.ts";
import type { Sampler } from "./sample.ts";

/** A sample older than this is no answer to "now". */
const FRESH_MS = 15_000;
/** A day of samples is 8 640. */
const MAX_ROWS = 10_000;

/** The samples of a span of time, oldest first; takes one at once when the span reaches to now and none is fresh. */
export async function readMetrics(
	host: Host,
	sampler: Sampler,
	resident: Resident,
	{ start, end }: { start?: Date | undefined; end?: Date | undefined },
): Promise<Metric[]> {
	let query = host.database.selectFrom("metrics").selectAll().where("sandboxId", "=", resident.id);
	// The stored ones are to the millisecond; clients speak in seconds.
	if (start !== undefined) query = query.where("at", ">=", start);
	if (end !== undefined) query = query.where("at", "<", new Date(end.getTime() + 1000));
	const rows = await query
		.orderBy("at", "asc")
		.limit(MAX_ROWS)
		.execute()
		.catch((error: unknown) => {
			throw fromDatabaseError(error, "reading metrics");
		});
	const now = Date.now();
	const wantsNow = end === undefined || end.getTime() >= now - 1000;
	const newest = rows.at(-1)?.at.getTime() ?? 0;
	const isUp = resident.link !== undefined && resident.work === undefined;
	if (wantsNow && now - newest > FRESH_MS && isUp) {
		const fresh = await bestEffort(host.log, `sampling ${resident.id}`, sampler.sample(resident));
		if (fresh !== undefined) rows.push(fresh);
	}
	return rows;
}

/** The newest sample of each of these sandboxes. */
export async function newestMetrics(host: Host, ids: readonly string[]): Promise<Metric[]> {
	return await host.database
		.selectFrom("metrics")
		.selectAll()
		.distinctOn("sandboxId")
		.where("sandboxId", "in", ids)
		.orderBy("sandboxId")
		.orderBy("at", "desc")
		.execute()
		.catch((error: unknown) => {
			throw fromDatabaseError(error, "reading metrics");
		});
}
