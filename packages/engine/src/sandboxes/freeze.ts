import { DormiceError } from "@dormice/protocol";
import type { Host } from "../host.ts";
import type { SandboxRecord } from "./record.ts";

/** Stops every process of the sandbox where it is, in RAM. */
export async function freeze(host: Host, record: SandboxRecord): Promise<void> {
	if (record.phase !== "running")
		throw new DormiceError(
			"state_conflict",
			`Sandbox ${record.id} is ${record.phase}; only a running one can be frozen.`,
		);
	await host.cgroups.freeze(record.machineId);
}

/**
 * The opposite of freeze. Somebody's request waits for this: its few files, all in memory, are read and written in one
 * go, for waiting for each would take longer than all of them. What is not frozen is left as it is. Throws `sandbox_not_found`.
 */
export async function thaw(host: Host, id: string): Promise<void> {
	const record = host.records.readNow(id);
	const lives =
		record !== undefined && record.phase !== "starting" && host.cgroups.hasNow(record.machineId, record.pid);
	if (!lives) throw notHere(id);
	if (!host.cgroups.thawNow(record.machineId)) await host.cgroups.thaw(record.machineId);
}

export function notHere(id: string): DormiceError {
	return new DormiceError("sandbox_not_found", `Sandbox ${id} has no processes on this host.`);
}
