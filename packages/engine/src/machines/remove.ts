import { mkdir, readdir, rm } from "node:fs/promises";
import type { HostParts } from "../host.ts";
import { log } from "../log.ts";
import { isMachineId, machineDir, machinesDir, mountsOf } from "./machine.ts";

type Parts = Pick<HostParts, "config" | "cgroups" | "native">;

/** Ends every process of a machine and removes what was made for it, whatever is left, as often as it is called. */
export async function removeMachine(host: Parts, machineId: string): Promise<void> {
	await host.cgroups.destroy(machineId);
	const { root, disk } = mountsOf(host, machineId);
	// Fails while something is mounted: what is below it is a guest's disk.
	await host.native.call("unmount", root, disk);
	await rm(machineDir(host, machineId), { recursive: true, force: true });
}

/** Removes the machines that no record names: what an engine that was killed had ready, or was removing. */
export async function removeOrphans(host: Parts, owned: ReadonlySet<string>): Promise<void> {
	await mkdir(machinesDir(host.config.run), { recursive: true, mode: 0o700 });
	const found = new Set([...(await readdir(machinesDir(host.config.run))), ...(await host.cgroups.list())]);
	for (const machineId of found) {
		if (!isMachineId(machineId) || owned.has(machineId)) continue;
		log.info({ machine: machineId }, "removing a machine that no sandbox is in");
		await removeMachine(host, machineId);
	}
}
