import { DormiceError, Steps, untilAborted } from "@dormice/protocol";
import { tell } from "../events/record.ts";
import type { Link } from "../guest/link.ts";
import { isDamage, offerOthers, startDespiteDamage } from "./damage.ts";
import { thaw } from "./doze.ts";
import type { Host } from "./host.ts";
import { move } from "./move.ts";
import { recover } from "./recover.ts";
import { changing, type Resident, share, type Work } from "./resident.ts";
import { type Origin, start } from "./start.ts";

export interface WakeOptions {
	/** False boots cold from the disk, also when there is a memory image. */
	memory: boolean;
	timeoutSeconds: number;
	/** It ran until now: when it started and when its time is up stay as they are. */
	goesOn?: boolean;
	reason: "api" | "request";
	/** From now on the platform pauses it at its timeout, or does not. */
	autoPause?: boolean | undefined;
	/** Ends the caller's waiting; the waking goes on. */
	signal?: AbortSignal | undefined;
}

/** How many changes of somebody else's a caller waits for. */
const MAX_TURNS = 4;

/**
 * Returns when the sandbox runs: `false` if it did already, `true` if it had to be woken. Any number of callers cause
 * one start. Throws `state_conflict` when it keeps changing under us.
 */
export async function awaken(host: Host, resident: Resident, options: WakeOptions): Promise<boolean> {
	for (let turn = 0; turn < MAX_TURNS; turn++) {
		const { work } = resident;
		// Of one that was put to sleep unasked, nobody is to see that it slept.
		const { unasked } = resident.record;
		if (work?.kind === "wake") {
			await share(work, options.signal);
			return !unasked;
		}
		if (work?.kind === "thaw") {
			await untilAborted(work.result, options.signal);
			return false;
		}
		if (work?.kind === "fall") resident.wanted.abort();
		if (work !== undefined && !work.passes) {
			await untilAborted(work.passing, options.signal);
			continue;
		}
		switch (resident.record.state) {
			case "running":
			case "dozing":
				if (resident.dozing) await untilAborted(thaw(host, resident, options.reason), options.signal);
				return false;
			case "asleep":
				await share(beginWake(host, resident, options), options.signal);
				return !unasked;
			case "failed":
				// A recovery failed a moment ago: requests do not make it happen more often.
				if (!resident.recovering.isDue) throw changing(resident.id);
				await untilAborted(recover(host, resident), options.signal);
				return true;
			case "checkpointing":
			case "waking":
				// Left behind by a failure; the repair loop decides what becomes of it.
				host.repairSoon();
				await untilAborted(new Promise((resolve) => setTimeout(resolve, 500)), options.signal);
				continue;
			default:
				throw changing(resident.id);
		}
	}
	throw changing(resident.id);
}

/** Takes its place among the starts, and gives it back if everybody has left before it was its turn. */
function beginWake(host: Host, resident: Resident, options: WakeOptions): Work {
	const leaving = new AbortController();
	const wake = () => host.starts.run(() => wakeUp(host, resident, options), leaving.signal);
	return resident.beginShared("wake", wake, () => leaving.abort(changing(resident.id)));
}

/** Wakes a sleeping sandbox that the caller has begun work on. On failure it sleeps on. */
export async function wakeUp(host: Host, resident: Resident, options: WakeOptions): Promise<void> {
	const beganAtMs = performance.now();
	const { generationId, generationMemory, unasked, endAt: end, stateSince } = resident.record;
	if (generationId === null) throw new DormiceError("generation_not_found", "This sandbox has no stored state.");
	// A boot from the disk is for who paused it: one that sleeps unasked has processes that its client counts on.
	const hasMemory = (options.memory || unasked) && generationMemory === true;
	const origin: Origin = hasMemory
		? { from: "memory", generationId, introduced: true, gapSeconds: (Date.now() - stateSince.getTime()) / 1000 }
		: { from: "disk", generationId };
	const steps = new Steps({ verb: "wake", sandbox: resident.id });
	await steps.time("waking", move(host, resident, { to: "waking", reason: options.reason }));
	try {
		const started = await steps.time("start", startFrom(host, resident, origin, options));
		resident.attach(started.link);
		const startedAt = new Date();
		const keepsTimes = unasked || options.goesOn === true;
		const endAt = keepsTimes ? end : new Date(startedAt.getTime() + options.timeoutSeconds * 1000);
		const moved = move(host, resident, {
			to: "running",
			set: {
				...(keepsTimes ? {} : { startedAt, endAt }),
				unasked: false,
				...(options.autoPause === undefined ? {} : { autoPause: options.autoPause }),
			},
			event: {
				kind: "woken",
				reason: options.reason,
				durationMs: performance.now() - beganAtMs,
				detail: { from: started.origin.from },
			},
		});
		await steps.time("running", moved);
		steps.done(host.log);
		const { link } = started;
		link.introduced.catch((error: unknown) => wakeAnew(host, resident, { link, origin: started.origin, error }));
		resident.recovering.worked();
		host.expireAt(endAt);
	} catch (error) {
		await sleepOn(host, resident, error);
		if (isDamage(error)) throw await offerOthers(host, resident, generationId, error);
		throw error;
	}
}

type Silent = { link: Link; origin: Origin; error: unknown };

/**
 * Starts a woken sandbox once more from where it was woken from when it has answered nobody since: nobody has heard of
 * anything it did. gVisor's processes may all stand still for ever over one lost wake-up (google/gvisor#14405).
 */
async function wakeAnew(host: Host, resident: Resident, { link, origin, error }: Silent): Promise<void> {
	if (resident.link !== link || link.closed || link.heard || resident.dozing || resident.work !== undefined) return;
	const { id, record } = resident;
	const detail = { error: `Woken anew: ${error instanceof Error ? error.message : String(error)}`.slice(0, 500) };
	try {
		await resident.begin("wake", async () => {
			resident.detach();
			await tell(host.database, host.log, id, { kind: "wake_failed", reason: "request", detail });
			await host.engine.destroy(id);
			resident.attach(await host.starts.run(() => start(host, record, origin)));
		});
	} catch (cause) {
		host.log.warn({ err: cause, sandbox: id }, "a silent sandbox could not be woken anew; repair takes it over");
		host.repairSoon();
	}
}

/** As asked; where the disk would have done, and memory cannot be read, from the disk. */
async function startFrom(host: Host, { record }: Resident, origin: Origin, { memory }: WakeOptions) {
	if (origin.from === "memory" && !memory) return await startDespiteDamage(host, record, origin);
	return { link: await start(host, record, origin), origin };
}

/** Back to sleep; the generation it was to come from is untouched. */
async function sleepOn(host: Host, resident: Resident, error: unknown): Promise<void> {
	resident.detach();
	const message = error instanceof Error ? error.message : String(error);
	try {
		// Also after a failed commit: should the row say `running` after all, repair finds its processes gone.
		await host.engine.destroy(resident.id);
		await move(host, resident, { to: "asleep" });
		await tell(host.database, host.log, resident.id, {
			kind: "wake_failed",
			reason: "request",
			detail: { error: message.slice(0, 500) },
		});
	} catch (cause) {
		host.log.warn({ err: cause, sandbox: resident.id }, "a failed waking could not be undone; repair takes it over");
		host.repairSoon();
	}
}
