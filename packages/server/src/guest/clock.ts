import type { Link } from "./link.ts";
import { untilAnswered } from "./supervisor.ts";

/** What says the time is too old when it was under way for longer. */
const FRESH_MS = 100;
const MOST_TURNS = 3;

/**
 * Tells a supervisor the time, until it has heard it at once: a machine that has just gone on may take a second to listen,
 * and would be late by that. Throws `guest_unhealthy`.
 */
export async function tellTime(link: Link, withinMs: number): Promise<void> {
	const body = () => ({ timestamp: new Date().toISOString() });
	for (let turn = 0; turn < MOST_TURNS; turn++) {
		const beganAtMs = performance.now();
		await untilAnswered(link, { method: "POST", path: "/dormice/clock", body }, withinMs);
		if (isFresh(beganAtMs)) return;
	}
}

/** Whether what was said then and is answered now was no older than it should be. */
export function isFresh(saidAtMs: number): boolean {
	return performance.now() - saidAtMs < FRESH_MS;
}
