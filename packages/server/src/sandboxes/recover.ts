import { DormiceError } from "@dormice/protocol";
import { tell } from "../events/record.ts";
import type { Link } from "../guest/link.ts";
import { startDespiteDamage } from "./damage.ts";
import type { Host } from "./host.ts";
import { move } from "./move.ts";
import type { Resident } from "./resident.ts";
import { type Origin, start } from "./start.ts";

/**
 * Brings back a sandbox whose processes were lost: cold from the disk it left behind, or, if that is lost too, from its
 * newest generation as a whole, or that one's disk where its memory cannot be read. An event says which. On failure it stays `failed`, and the repair loop tries again.
 */
export function recover(host: Host, resident: Resident): Promise<void> {
	return resident.begin("wake", () => host.starts.run(() => comeBack(host, resident)));
}

async function comeBack(host: Host, resident: Resident): Promise<void> {
	const beganAtMs = performance.now();
	await move(host, resident, { to: "waking", set: { recovering: true } });
	try {
		const { link, origin } = await startFromWhatIsLeft(host, resident);
		resident.attach(link);
		await move(host, resident, {
			to: "running",
			set: { recovering: false, unasked: false },
			event: {
				kind: "recovered",
				reason: "crash",
				durationMs: performance.now() - beganAtMs,
				detail: { from: origin.from },
			},
		});
		resident.recovering.worked();
		host.log.info({ sandbox: resident.id, from: origin.from }, "recovered");
		host.expireAt(resident.record.endAt);
	} catch (error) {
		await stayFailed(host, resident, error);
		throw error;
	}
}

async function startFromWhatIsLeft(host: Host, resident: Resident): Promise<{ link: Link; origin: Origin }> {
	const { record } = resident;
	const ownDisk: Origin = { from: "own_disk" };
	try {
		return { link: await start(host, record, ownDisk), origin: ownDisk };
	} catch (error) {
		const diskIsGone = error instanceof DormiceError && error.reason === "sandbox_not_found";
		const { generationId, generationMemory } = record;
		if (!diskIsGone || generationId === null) throw error;
		// Nobody is there to be asked what will do.
		if (generationMemory)
			return await startDespiteDamage(host, record, { from: "memory", generationId, introduced: true });
		const disk: Origin = { from: "disk", generationId };
		return { link: await start(host, record, disk), origin: disk };
	}
}

async function stayFailed(host: Host, resident: Resident, error: unknown): Promise<void> {
	resident.detach();
	resident.recovering.failed();
	const message = error instanceof Error ? error.message : String(error);
	try {
		await host.engine.destroy(resident.id, { keepDisk: true });
		await move(host, resident, { to: "failed" });
		await tell(host.database, host.log, resident.id, {
			kind: "recovery_failed",
			reason: "crash",
			detail: { error: message.slice(0, 500) },
		});
	} catch (cause) {
		host.log.warn({ err: cause, sandbox: resident.id }, "a failed recovery could not be recorded; repair goes on");
		host.repairSoon();
	}
}
