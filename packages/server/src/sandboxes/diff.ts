import type { Difference } from "../engine/engine.ts";
import { findGeneration } from "./generations.ts";
import type { Host } from "./host.ts";
import { syncDisk } from "./pause.ts";
import { changing, type Resident } from "./resident.ts";
import { awaken } from "./wake.ts";

/** What lies between a state of a sandbox's history and another, or what it is now. Sleeping, it is what it sleeps in. */
export async function diff(host: Host, resident: Resident, from: string, to: string | undefined): Promise<Difference> {
	const before = await findGeneration(host, resident, from);
	if (to !== undefined) {
		return await between(host, before.id, { generationId: (await findGeneration(host, resident, to)).id });
	}
	await resident.work?.done;
	const { record } = resident;
	if (record.state === "asleep" && record.generationId !== null) {
		return await between(host, before.id, { generationId: record.generationId });
	}
	await awaken(host, resident, { memory: true, timeoutSeconds: record.timeoutSeconds, reason: "api" });
	const { link } = resident;
	if (link === undefined) throw changing(resident.id);
	// So that it is not put to rest meanwhile.
	const letGo = link.hold(() => undefined);
	try {
		// What its programs wrote and its kernel still holds.
		await syncDisk(resident, link.address);
		return await between(host, before.id, { sandboxId: resident.id });
	} finally {
		letGo();
	}
}

async function between(
	host: Host,
	fromId: string,
	to: { generationId: string } | { sandboxId: string },
): Promise<Difference> {
	host.unfinished.add(fromId);
	if ("generationId" in to) host.unfinished.add(to.generationId);
	try {
		return await host.engine.diff(fromId, to);
	} finally {
		host.unfinished.delete(fromId);
		if ("generationId" in to) host.unfinished.delete(to.generationId);
	}
}
