import type { ClientProcess } from "../guest/activity.ts";
import type { Rest } from "../sandboxes/rest.ts";

/** Something that holds a sandbox awake. */
export interface Signal {
	/**
	 * `request`: open requests and streams. `recent`: the last one ended a moment ago. `cpu`: it works. `process`: a process
	 * lives that a client started. `silent`: its supervisor does not say. `setting`: it never dozes. `change`: its state is
	 * being changed.
	 */
	signal: "request" | "recent" | "cpu" | "process" | "silent" | "setting" | "change";
	since: Date;
	/** A sentence for a person. */
	detail: string;
}

/** What is known of a sandbox that is up. Times are `Date.now()`'s. */
export interface Sight {
	rest: Rest;
	/** Open requests and streams, and since when there are any, or none. */
	busy: number;
	turnedAtMs: number;
	/** Percent of one CPU, by the host's account or the guest's, whichever is less; and since when it was not near zero. */
	cpu: { percent: number; sinceMs: number } | undefined;
	/** Undefined when its supervisor did not answer; empty when nothing runs, or when that does not matter. */
	processes: readonly ClientProcess[] | undefined;
	/** Since when there are such processes, or no answer. */
	processesSinceMs: number;
	/** When it came to be as it is: the start of what has no other. */
	stateSinceMs: number;
}

/**
 * CPU that counts as none, in percent of one. An idle gVisor takes 5 to 7 by itself, a program with a timer of 10 ms
 * makes it 10, a shell that loops around `sleep 0.2` 30 (measured).
 */
export const CPU_NEAR_ZERO_PERCENT = 15;

const SHOWN_PROCESSES = 5;

/** Everything that holds it awake now; nothing, when it may doze. Pure. */
export function signalsOf(sight: Sight, nowMs: number): Signal[] {
	const { rest, busy, turnedAtMs, cpu, processes } = sight;
	const signals: Signal[] = [];
	const hold = (signal: Signal["signal"], sinceMs: number, detail: string) =>
		signals.push({ signal, since: new Date(sinceMs), detail });
	if (rest.dozeAfterMs === 0) hold("setting", sight.stateSinceMs, "dozeAfterMs is 0: it never dozes");
	if (busy > 0)
		hold("request", turnedAtMs, `${busy} open ${busy === 1 ? "request or stream" : "requests and streams"}`);
	else if (nowMs - turnedAtMs < rest.dozeAfterMs) {
		hold("recent", turnedAtMs, `used ${seconds(nowMs - turnedAtMs)} ago; it dozes ${seconds(rest.dozeAfterMs)} after`);
	}
	if (cpu !== undefined && cpu.percent >= CPU_NEAR_ZERO_PERCENT) {
		hold("cpu", cpu.sinceMs, `uses ${Math.round(cpu.percent)} % of a CPU`);
	}
	if (rest.doze === "idle") {
		if (processes === undefined) hold("silent", sight.processesSinceMs, "its supervisor does not say what runs");
		else if (processes.length > 0) {
			const since = processes.map(({ startedAt }) => startedAt?.getTime() ?? sight.processesSinceMs);
			hold("process", Math.min(...since), describe(processes));
		}
	}
	return signals;
}

function describe(processes: readonly ClientProcess[]): string {
	const shown = processes.slice(0, SHOWN_PROCESSES).map(({ pid, cmd }) => `${cmd} (${pid})`);
	const more = processes.length > shown.length ? ` and ${processes.length - shown.length} more` : "";
	return `started by a client and alive: ${shown.join(", ")}${more}`;
}

function seconds(ms: number): string {
	return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
}
