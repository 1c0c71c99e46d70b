import { existsSync, readFileSync } from "node:fs";

const STAT = "/proc/self/stat";

/** Whether we may read the terminal: a job in the background would be stopped for trying. */
export function isInForeground(): boolean {
	return !existsSync(STAT) || ownsTerminal(readFileSync(STAT, "utf8"));
}

/** Whether the process group is the terminal's. See proc(5): after the name come state, parent, group, session, terminal, its group. */
export function ownsTerminal(stat: string): boolean {
	const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
	return fields[2] === fields[5];
}
