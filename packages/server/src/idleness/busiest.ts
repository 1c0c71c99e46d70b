import type { ProcessCpu } from "../guest/activity.ts";

/** What a process uses of one CPU. */
export interface Busy {
	pid: number;
	cmd: string;
	percent: number;
}

/** What each process had used at a moment of `performance.now()`. */
export interface CpuReading {
	atMs: number;
	processes: readonly ProcessCpu[];
}

/** The supervisor is quiet while it has no request: this much is no longer a rounding. */
const SUPERVISOR_SPINS_PERCENT = 50;
const WHOLE_CPU_PERCENT = 90;
/** A process that has been at it since its sandbox woke began within this time. */
const FROM_THE_FIRST_MS = 2_000;

/** What used any CPU between two readings, most first. Pure. */
export function usedBetween(before: CpuReading, now: CpuReading): Busy[] {
	const then = new Map(before.processes.map(({ pid, cpuMs }) => [pid, cpuMs]));
	return now.processes
		.map(({ pid, cmd, cpuMs }) => {
			const used = cpuMs - (then.get(pid) ?? cpuMs);
			return { pid, cmd, percent: Math.round((used / (now.atMs - before.atMs)) * 100) };
		})
		.filter(({ percent }) => percent > 0)
		.sort((a, b) => b.percent - a.percent);
}

/**
 * The process that seems to spin since its sandbox woke: the supervisor, which has no request, or one that has used a whole
 * CPU from the first second on. Pure.
 */
export function spinning(before: CpuReading, now: CpuReading, wokeAtMs: number): Busy | undefined {
	return usedBetween(before, now).find(({ cmd, percent, pid }) => {
		if (cmd === "supervisor") return percent >= SUPERVISOR_SPINS_PERCENT;
		const total = now.processes.find((process) => process.pid === pid)?.cpuMs ?? 0;
		const awakeMs = now.atMs - wokeAtMs;
		return percent >= WHOLE_CPU_PERCENT && awakeMs > FROM_THE_FIRST_MS && total >= awakeMs - FROM_THE_FIRST_MS;
	});
}
