import { DormiceError } from "@dormice/protocol";
import type { Host } from "../host.ts";
import type { SandboxRecord } from "./record.ts";

/** Stops every process of the sandbox where it is, in RAM. */
export async function freeze(host: Host, record: SandboxRecord): Promise<void> {
	if (record.phase === "frozen") return;
	if (record.phase !== "running")
		throw new DormiceError(
			"state_conflict",
			`Sandbox ${record.id} is ${record.phase}; only a running one can be frozen.`,
		);
	await host.records.write({ ...record, phase: "frozen" });
	await host.cgroups.freeze(record.machineId);
}

/** The opposite of freeze. */
export async function thaw(host: Host, record: SandboxRecord): Promise<void> {
	if (record.phase !== "frozen") return;
	await host.cgroups.thaw(record.machineId);
	await host.records.write({ ...record, phase: "running" });
}
