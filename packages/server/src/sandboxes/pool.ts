import { DormiceError } from "@dormice/protocol";
import type { Host } from "./host.ts";

/**
 * Makes sure that the database and the host's pool belong together, before anything is compared. A database that does not
 * know a pool with stored sandboxes in it would take every one of them for an orphan, and delete them.
 */
export async function checkPool(host: Host): Promise<void> {
	const report = await host.engine.probe();
	host.isolations.put(report);
	const { poolId } = report;
	const known = await host.database.selectFrom("pools").select("id").where("id", "=", poolId).executeTakeFirst();
	if (known !== undefined) return;
	const generations = await host.engine.listGenerations();
	const stored = generations.filter(({ reason }) => reason !== "template").length;
	if (stored > 0) {
		throw new DormiceError(
			"state_conflict",
			`This database does not know the data directory, which holds ${stored} stored states of sandboxes. ` +
				"Set DATABASE_URL to the database it was used with, or start with an empty data directory.",
		);
	}
	await host.database
		.insertInto("pools")
		.values({ id: poolId })
		.onConflict((conflict) => conflict.doNothing())
		.execute();
}
