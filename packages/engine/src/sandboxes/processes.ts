import type { Process } from "../driver.ts";
import type { Host } from "../host.ts";
import { bestEffort } from "../log.ts";
import { machineOf } from "../machines/machine.ts";
import { stateOf } from "./list.ts";
import type { SandboxRecord } from "./record.ts";

/** What runs in a sandbox, as its kernel says; nothing of one that stands still in RAM, which cannot answer. */
export async function processesOf(host: Host, record: SandboxRecord): Promise<Process[]> {
	const driver = host.drivers.find(({ isolation }) => isolation === record.isolation);
	if (driver === undefined || stateOf(host, record) !== "running") return [];
	return (
		(await bestEffort(`list the processes of ${record.id}`, driver.processes(machineOf(host, record, record.id)))) ?? []
	);
}
