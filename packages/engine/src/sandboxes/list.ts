import { isId } from "@dormice/protocol";
import type { Host } from "../host.ts";
import type { Limits } from "../limits.ts";
import type { SandboxRecord } from "./record.ts";

/** A sandbox as it is on this host now. */
export type SandboxView = {
	id: string;
	state: "running" | "frozen" | "paused" | "stopped";
	record: SandboxRecord | undefined;
	limits: Limits | undefined;
	address: string;
};

/** All that exists: with processes, or only a disk. */
export async function list(host: Host): Promise<SandboxView[]> {
	const ids = new Set([...(await host.records.list()).map(({ id }) => id), ...(await host.disks.list())]);
	const views: SandboxView[] = [];
	for (const id of ids) if (isId("sandbox", id)) views.push(await view(host, id));
	return views;
}

export async function view(host: Host, id: string): Promise<SandboxView> {
	const record = await host.records.read(id);
	const alive = record !== undefined && (await host.cgroups.pids(record.machineId)).includes(record.pid);
	const state = !alive ? "stopped" : stateOf(host, record);
	const address = record && state !== "stopped" ? host.slots.find(record.slot).address : "";
	return { id, state, record, limits: record?.limits, address };
}

export function stateOf(host: Host, { phase, machineId }: SandboxRecord): SandboxView["state"] {
	switch (phase) {
		// It never answered its caller: whatever it is, it is not running.
		case "starting":
			return "stopped";
		case "pausing":
		case "paused":
			return "paused";
		case "running":
			return host.cgroups.isFrozenNow(machineId) ? "frozen" : phase;
	}
}
