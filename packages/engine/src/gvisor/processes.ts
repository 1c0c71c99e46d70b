import type { Process } from "../driver.ts";

/** What is kept of a sandbox's processes: enough to see what changed, and bounded, for the guest decides how many there are. */
const MOST = 512;
const LONGEST_NAME = 64;

/** What gVisor answers about its processes → ours, in the order of their pids. Pure; throws nothing, whatever came. */
export function readProcesses(answer: unknown): Process[] {
	if (!Array.isArray(answer)) return [];
	return answer
		.map((entry: Record<string, unknown>) => ({
			pid: Number(entry?.pid),
			parent: Number(entry?.ppid),
			uid: Number(entry?.uid),
			startedAt: text(entry?.stime),
			name: text(entry?.cmd),
		}))
		.filter(({ pid }) => Number.isSafeInteger(pid) && pid > 0)
		.toSorted((a, b) => a.pid - b.pid)
		.slice(0, MOST);
}

function text(value: unknown): string {
	return typeof value === "string" ? value.slice(0, LONGEST_NAME) : "";
}
