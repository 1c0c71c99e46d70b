import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { Machine } from "../driver.ts";
import type { HostParts } from "../host.ts";
import type { SandboxRecord } from "../sandboxes/record.ts";

/**
 * Names what a sandbox has on this host while it runs. A machine may be started before it is known for whom, and is
 * cleared away after its sandbox has gone on in another one, so it cannot go by the sandbox's name.
 */
export function newMachineId(): string {
	return `m${randomBytes(6).toString("hex")}`;
}

export function isMachineId(name: string): boolean {
	return /^m[0-9a-f]{12}$/.test(name);
}

export function machinesDir(run: string): string {
	return join(run, "machines");
}

/** A machine's own directory, below the run directory. */
export function machineDir(host: Pick<HostParts, "config">, machineId: string): string {
	return join(machinesDir(host.config.run), machineId);
}

/** Where a machine's mounts are. */
export function mountsOf(host: Pick<HostParts, "config">, machineId: string) {
	const dir = machineDir(host, machineId);
	return { disk: join(dir, "disk"), root: join(dir, "root") };
}

/** What makes a machine one, before any sandbox is in it. */
export type MachineParts = Pick<SandboxRecord, "machineId" | "limits" | "guestId" | "slot">;

/** The machine as its driver sees it; its output goes to the log of `owner`, a sandbox or the machine itself. */
export function machineOf(host: HostParts, parts: MachineParts, owner: string): Machine {
	const { machineId, limits, guestId, slot } = parts;
	const dir = machineDir(host, machineId);
	return {
		id: machineId,
		dir,
		root: mountsOf(host, machineId).root,
		hostname: owner,
		netns: host.slots.find(slot).netns,
		limits,
		guest: host.guests.path(guestId),
		bootIdFile: join(dir, "boot_id"),
		cgroup: host.cgroups.path(machineId),
		launch: [host.native.path, "launch", host.logs.path(owner), ...host.cgroups.doors(machineId), "--"],
	};
}
