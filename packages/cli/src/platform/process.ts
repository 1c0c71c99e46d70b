import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * A process that can be recognised again. The kernel reuses pids; a pid together with the moment the process
 * started (in clock ticks since boot) and the boot it started in is never another process.
 */
export interface ProcessIdentity {
	pid: number;
	startTicks: number;
	bootId: string;
}

/** The identity of a live process; `undefined` when there is none, or only its remains. */
export function identify(pid: number): ProcessIdentity | undefined {
	const startTicks = startTicksOf(pid);
	return startTicks === undefined ? undefined : { pid, startTicks, bootId: bootId() };
}

export function isAlive(process: ProcessIdentity): boolean {
	return startTicksOf(process.pid) === process.startTicks && bootId() === process.bootId;
}

/** Fields of `/proc/<pid>/stat` after the name, which may itself hold spaces and brackets. See proc(5). */
export function parseStat(stat: string): { state: string; startTicks: number } | undefined {
	const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
	const [state, startTicks] = [fields[0], Number(fields[19])];
	return state === undefined || !Number.isInteger(startTicks) ? undefined : { state, startTicks };
}

/**
 * Ends a process: the signal, then a wait, then SIGKILL to its whole group.
 * Answers whether it went by itself.
 */
export async function stopProcess(
	target: ProcessIdentity,
	{ signal, graceMs }: { signal: NodeJS.Signals; graceMs: number },
): Promise<boolean> {
	if (!sendSignal(target, signal)) return true;
	if (await waitForEnd(target, graceMs)) return true;
	killGroup(target);
	await waitForEnd(target, 5_000);
	return false;
}

/** Whether the process has ended within `deadlineMs`. */
export async function waitForEnd(target: ProcessIdentity, deadlineMs: number): Promise<boolean> {
	const deadline = performance.now() + deadlineMs;
	for (let pauseMs = 5; isAlive(target); pauseMs = Math.min(pauseMs * 2, 100)) {
		if (performance.now() >= deadline) return false;
		await sleep(pauseMs);
	}
	return true;
}

/** Signals exactly this process; false when it is gone. */
export function sendSignal(target: ProcessIdentity, signal: NodeJS.Signals): boolean {
	return isAlive(target) && deliver(target.pid, signal);
}

function killGroup(leader: ProcessIdentity): void {
	if (isAlive(leader) && !deliver(-leader.pid, "SIGKILL")) deliver(leader.pid, "SIGKILL");
}

function deliver(pid: number, signal: NodeJS.Signals): boolean {
	try {
		return process.kill(pid, signal);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
		throw error;
	}
}

function startTicksOf(pid: number): number | undefined {
	try {
		const stat = parseStat(readFileSync(`/proc/${pid}/stat`, "utf8"));
		return stat === undefined || stat.state === "Z" || stat.state === "X" ? undefined : stat.startTicks;
	} catch {
		// No such process, or it went while we read.
		return undefined;
	}
}

let boot: string | undefined;

function bootId(): string {
	boot ??= readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
	return boot;
}
