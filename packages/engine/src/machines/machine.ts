import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { DormiceError } from "@dormice/protocol";
import type { Driver, Machine } from "../driver.ts";
import type { HostParts } from "../host.ts";
import type { Limits } from "../limits.ts";
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
export type MachineParts = Pick<SandboxRecord, "machineId" | "limits" | "guestId" | "slot"> & { rootfsId?: string };

/** Beyond every id that a host gives to its users, and to its containers' by custom. */
const FIRST_UID = 0x70000000;

/** The machine as its driver sees it; its output goes to the log of `owner`, a sandbox or the machine itself. */
export function machineOf(host: HostParts, parts: MachineParts, owner: string): Machine {
	const { machineId, limits, guestId, rootfsId = "" } = parts;
	const dir = machineDir(host, machineId);
	const slot = host.slots.find(parts.slot);
	const log = host.logs.path(owner);
	return {
		id: machineId,
		dir,
		root: mountsOf(host, machineId).root,
		disk: host.disks.image(owner),
		rootfsId,
		hostname: owner,
		netns: slot.netns,
		router: slot.router,
		uid: FIRST_UID + slot.n,
		limits,
		guest: host.guests.path(guestId),
		guestId,
		bootIdFile: join(dir, "boot_id"),
		cgroup: host.cgroups.path(machineId),
		log,
		launch: [log, ...host.cgroups.doors(machineId), "--"],
	};
}

/** The driver that a sandbox runs under. Throws `isolation_unavailable` when it does not work here any more. */
export function driverOf(host: Pick<HostParts, "drivers">, record: SandboxRecord): Driver {
	const ofKind = host.drivers.filter((one) => one.isolation === record.isolation);
	const driver = ofKind.find((one) => one.version === record.engineVersion) ?? ofKind[0];
	if (driver) return driver;
	throw new DormiceError(
		"isolation_unavailable",
		`The ${record.isolation} driver, which ${record.id} runs under, does not work on this host any more.`,
	);
}

/** Where the host has the disk of a running sandbox mounted; undefined when only its own kernel has. */
export function mountedDisk(host: HostParts, record: SandboxRecord): string | undefined {
	return driverOf(host, record).disk === "mounted" ? mountsOf(host, record.machineId).disk : undefined;
}

/** What a machine may use of the host, so that its guest has what it was promised. */
export function withOverhead({ overheadMiB }: Driver, limits: Limits): Limits {
	return { ...limits, memoryMiB: limits.memoryMiB + overheadMiB };
}
