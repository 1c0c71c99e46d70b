import { setTimeout as sleep } from "node:timers/promises";
import type { Host } from "../host.ts";
import { driverOf, machineOf } from "../machines/machine.ts";
import { stateOf } from "./list.ts";
import type { SandboxRecord } from "./record.ts";

/** Tells one that computes from one that waits. */
const WATCHED_MS = 500;
/** Of stacks: a few hundred goroutines. */
const MAX_LENGTH = 256 << 10;

/**
 * What the host and its own kernel see of a sandbox that does not answer, for people: it is often gone before they can
 * look. Neither its queue nor its processes are waited for.
 */
export async function diagnose(host: Host, record: SandboxRecord): Promise<string> {
	const driver = driverOf(host, record);
	const { cpuUs } = await host.cgroups.usage(record.machineId);
	const [inside] = await Promise.all([said(driver.diagnose(machineOf(host, record, record.id))), sleep(WATCHED_MS)]);
	const { cpuUs: laterUs, memoryBytes, tasks } = await host.cgroups.usage(record.machineId);
	const seen = { state: stateOf(host, record), busyPercent: (laterUs - cpuUs) / WATCHED_MS / 10, memoryBytes, tasks };
	return `${JSON.stringify(seen)}\n${inside.slice(0, MAX_LENGTH)}`;
}

async function said(answer: Promise<string>): Promise<string> {
	return await answer.catch((error: unknown) => `its kernel does not say what it does: ${String(error)}`);
}
