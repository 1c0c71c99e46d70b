import { fromDatabaseError } from "../database/database.ts";
import type { Host } from "./host.ts";
import { checkEgress, type Egress, type Network } from "./network.ts";
import { changing, type Resident } from "./resident.ts";

/** Stores what a sandbox may reach from now on, in place of all that was said before; its way in stays. */
export async function replaceEgress(
	host: Host,
	resident: Resident,
	egress: Egress,
	allowInternetAccess: boolean | undefined,
): Promise<void> {
	checkEgress(egress);
	const { id, epoch, network } = resident.record;
	if (resident.work !== undefined) throw changing(id);
	const { allowPublicTraffic, maskRequestHost, httpsPorts } = network;
	const replaced: Network = { ...egress, allowPublicTraffic, maskRequestHost, httpsPorts };
	try {
		const row = await host.database
			.updateTable("sandboxes")
			.set({ network: JSON.stringify(replaced), allowInternetAccess: allowInternetAccess ?? null })
			.where("id", "=", id)
			.where("epoch", "=", epoch)
			.returningAll()
			.executeTakeFirst();
		if (row === undefined) throw changing(id);
		if (resident.record.epoch === epoch) resident.record = row;
	} catch (error) {
		throw fromDatabaseError(error, "storing a sandbox's network");
	}
}
