import { bestEffort } from "../log.ts";
import type { Spawner } from "../spawner/spawner.ts";

/** So much later than the host's a clock may be: the request travelled. */
const AHEAD_MS = 1000;
/** And so much earlier: a microVM that stood still goes on at the time at which it stopped. */
const BEHIND_MS = 20;

/** Sets the clock to what the host says it is, RFC 3339, if it is off by more than that took to hear; nothing said, nothing done. */
export async function beOnTime(timestamp: string | undefined, spawner: Pick<Spawner, "setClock">): Promise<void> {
	const timeMs = Date.parse(timestamp ?? "");
	const behindMs = timeMs - Date.now();
	// In gVisor the clock is the host's and cannot be set.
	if (behindMs > BEHIND_MS || behindMs < -AHEAD_MS) await bestEffort("setting the clock", spawner.setClock(timeMs));
}
