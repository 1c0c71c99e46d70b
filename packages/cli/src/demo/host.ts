import { readdirSync, readFileSync } from "node:fs";

/** Processes of this machine that name the sandbox on their command line, as every part of a running one does. */
export function processesOf(sandboxId: string): number[] {
	return readdirSync("/proc")
		.filter((name) => /^\d+$/.test(name) && commandLine(name).includes(sandboxId))
		.map(Number)
		.filter((pid) => pid !== process.pid);
}

function commandLine(pid: string): string {
	try {
		return readFileSync(`/proc/${pid}/cmdline`, "utf8");
	} catch {
		return ""; // It ended while we looked.
	}
}
