import { availableParallelism } from "node:os";
import { bestEffort } from "../log.ts";
import type { Host } from "../sandboxes/host.ts";
import { fall } from "../sandboxes/pause.ts";
import type { Resident } from "../sandboxes/resident.ts";
import { readMemory, shortageBytes } from "./memory.ts";

/** How many fall asleep at once: storing one keeps a CPU and the disk busy. */
const WIDTH = Math.max(1, Math.floor(availableParallelism() / 2));
/** After one that failed, for example on a full disk. */
const RETRY_MS = 300_000;

/**
 * Puts to sleep what has dozed for long enough, and, while memory is short, what dozes and was not used for longest. Does
 * not wait for it.
 */
export function letFall(host: Host): void {
	let places = Math.max(0, WIDTH - [...host.table.values()].filter(({ work }) => work?.kind === "fall").length);
	const dozing = [...host.table.values()].filter(mayFall).sort((a, b) => lastUsedMs(a) - lastUsedMs(b));
	let isShort = shortageBytes(readMemory(host)) > 0;
	for (const resident of dozing) {
		if (places === 0) return;
		const isOver = Date.now() - resident.turnedAt.getTime() >= resident.record.sleepAfterMs;
		if (!isOver && !isShort) continue;
		places--;
		void bestEffort(host.log, `putting ${resident.id} to sleep`, begin(host, resident, isOver ? "idle" : "memory"));
		isShort = shortageBytes(readMemory(host)) > 0;
	}
}

async function begin(host: Host, resident: Resident, reason: "idle" | "memory"): Promise<void> {
	try {
		await fall(host, resident, reason);
	} catch (error) {
		resident.fallNotBeforeMs = Date.now() + RETRY_MS;
		throw error;
	}
}

function mayFall({ dozing, work, link, record, fallNotBeforeMs }: Resident): boolean {
	if (!dozing || work !== undefined || link === undefined || record.sleepAfterMs === 0) return false;
	return Date.now() >= fallNotBeforeMs;
}

function lastUsedMs({ link }: Resident): number {
	return link?.turnedAtMs ?? 0;
}
