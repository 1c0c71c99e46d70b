import { DormiceError } from "@dormice/protocol";
import type { NewEvent } from "../events/record.ts";
import { tellTime } from "../guest/clock.ts";
import { bestEffort } from "../log.ts";
import type { Host } from "./host.ts";
import { settle } from "./move.ts";
import { changing, type Resident } from "./resident.ts";

/** A shorter doze leaves no clock wrong by anything that matters. */
const CLOCK_MATTERS_AFTER_MS = 1_000;
const HEARS_WITHIN_MS = 30_000;
/** What nobody waits for is done when the request that ended the doze has most likely been answered. */
const AFTERMATH_MS = 100;

/**
 * Freezes a sandbox in RAM. Whoever wants it from this call on thaws it first, so nobody must be using it at this
 * moment. On failure it is let go on, and the failure is thrown.
 */
export function doze(host: Host, resident: Resident): Promise<void> {
	const frozen = resident.begin("doze", async () => {
		const { id } = resident;
		try {
			await host.engine.freeze(id);
		} catch (error) {
			await bestEffort(host.log, `thawing ${id}`, goOn(host, resident));
			throw error;
		}
		void bestEffort(host.log, `recording that ${id} dozes`, settle(host, resident, "idle"));
	});
	resident.turn(true);
	return frozen;
}

/** Lets a dozing sandbox go on: when this returns, it takes requests. One thaw for all who wait. */
export function thaw(host: Host, resident: Resident, reason: NewEvent["reason"]): Promise<void> {
	const dozedMs = Date.now() - resident.turnedAt.getTime();
	return resident.begin("thaw", async () => {
		await goOn(host, resident);
		setTimeout(() => {
			void bestEffort(host.log, `recording that ${resident.id} runs`, settle(host, resident, reason));
			if (dozedMs > CLOCK_MATTERS_AFTER_MS) void setClock(host, resident);
		}, AFTERMATH_MS).unref();
	});
}

/** The engine's part of a thaw, for who has the sandbox's work in hand. The row follows. */
export async function goOn(host: Host, resident: Resident): Promise<void> {
	try {
		await host.engine.thaw(resident.id);
	} catch (error) {
		if (!(error instanceof DormiceError) || error.reason !== "sandbox_not_found") throw error;
		// Its processes were lost as it dozed.
		host.repairSoon();
		throw changing(resident.id);
	}
	resident.turn(false);
	resident.hooks = undefined;
	resident.link?.touch();
}

/** Time stood still inside for drivers whose guests keep their own. */
async function setClock(host: Host, resident: Resident): Promise<void> {
	const { link } = resident;
	if (link === undefined || link.closed || resident.dozing) return;
	await bestEffort(host.log, `setting the clock of ${resident.id}`, tellTime(link, HEARS_WITHIN_MS));
}
