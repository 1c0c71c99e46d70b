import type { Host } from "./host.ts";
import { amend } from "./move.ts";
import { checkEgress, type Egress, type Network } from "./network.ts";
import { changing, isOwnDoing, type Resident } from "./resident.ts";
import { sealSecrets } from "./row.ts";

/** Stores what a sandbox may reach from now on, in place of all that was said before; its way in stays. */
export async function replaceEgress(
	host: Host,
	resident: Resident,
	egress: Egress,
	allowInternetAccess: boolean | undefined,
): Promise<void> {
	checkEgress(egress);
	const { id, network } = resident.record;
	const { work } = resident;
	if (work !== undefined && !isOwnDoing(work.kind)) throw changing(id);
	const { allowPublicTraffic, maskRequestHost, httpsPorts } = network;
	const replaced: Network = { ...egress, allowPublicTraffic, maskRequestHost, httpsPorts };
	const change = {
		...sealSecrets(host.vault, id, { network: replaced }),
		allowInternetAccess: allowInternetAccess ?? null,
	};
	await amend(host, resident, change, "storing a sandbox's network");
}
