import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { DormiceError } from "@dormice/protocol";
import type { Driver, Machine } from "../driver.ts";
import type { Manifest } from "../generations/generations.ts";
import type { Host } from "../host.ts";
import type { Limits } from "../limits.ts";
import { bestEffort } from "../log.ts";
import { destroy } from "./destroy.ts";
import { machineOf, mountsOf } from "./machine.ts";
import type { SandboxRecord } from "./record.ts";

/** Where the disk of a cold boot comes from. */
export type BootSource =
	| { case: "rootfsId"; value: string }
	| { case: "generationId"; value: string }
	| { case: "ownDisk"; value: boolean };

/** Starts a sandbox from nothing but a disk. */
export async function boot(host: Host, id: string, limits: Limits, source: BootSource): Promise<SandboxRecord> {
	const disk = await bootDisk(host, id, limits, source);
	const record = { id, limits, rootfsId: disk.rootfsId, guestId: await host.guests.current(), bootId: randomUUID() };
	return start(host, record, disk, (driver, machine) => driver.boot(machine));
}

/** Starts a sandbox from a generation's memory and a copy of its disk. */
export async function restore(host: Host, id: string, limits: Limits, generationId: string): Promise<SandboxRecord> {
	const manifest = await host.generations.read(generationId);
	checkCompatible(host, manifest);
	const record = { id, limits, rootfsId: manifest.rootfsId, guestId: manifest.guestId, bootId: manifest.bootId };
	const disk = { keepOnFailure: false, make: () => host.disks.createFrom(id, host.generations.disk(generationId)) };
	return start(host, record, disk, (driver, machine) => driver.restore(machine, host.generations.memory(generationId)));
}

type NewRecord = Pick<SandboxRecord, "id" | "limits" | "rootfsId" | "guestId" | "bootId">;
type Disk = { keepOnFailure: boolean; make: () => Promise<void> };

/** Puts the parts together and lets the driver start the machine. What it made is gone again when it throws. */
async function start(
	host: Host,
	base: NewRecord,
	disk: Disk,
	launch: (driver: Driver, machine: Machine) => Promise<number>,
): Promise<SandboxRecord> {
	if (await host.records.read(base.id))
		throw new DormiceError("already_exists", `Sandbox ${base.id} exists on this host already.`);
	const driver = chooseDriver(host);
	const slot = await host.slots.claim();
	const record: SandboxRecord = { ...base, isolation: driver.isolation, slot: slot.n, phase: "starting", pid: 0 };
	try {
		// The record first: whatever is made after it is found again by its id.
		await host.records.write(record);
		const machine = machineOf(host, record);
		await Promise.all([
			host.cgroups.create(record.id, record.limits),
			writeFile(machine.bootIdFile, `${record.bootId}\n`),
			disk.make().then(() => host.disks.mount(record.id, mountsOf(host, record))),
		]);
		record.pid = await launch(driver, machine);
		record.phase = "running";
		await host.records.write(record);
		return record;
	} catch (error) {
		await bestEffort(
			`undo the start of ${record.id}`,
			destroy(host, record.id, { keepDisk: disk.keepOnFailure, forget: false }),
		);
		throw error;
	}
}

async function bootDisk(
	host: Host,
	id: string,
	limits: Limits,
	source: BootSource,
): Promise<Disk & { rootfsId: string }> {
	switch (source.case) {
		case "rootfsId":
			host.rootfs.path(source.value);
			return {
				rootfsId: source.value,
				keepOnFailure: false,
				make: () => host.disks.createBlank(id, source.value, limits.diskMiB),
			};
		case "generationId": {
			const { rootfsId } = await host.generations.readManifest(source.value);
			return {
				rootfsId,
				keepOnFailure: false,
				make: () => host.disks.createFrom(id, host.generations.disk(source.value)),
			};
		}
		case "ownDisk": {
			const rootfsId = await host.disks.rootfsOf(id);
			return { rootfsId, keepOnFailure: true, make: async () => undefined };
		}
	}
}

function chooseDriver(host: Host): Driver {
	const [driver] = host.drivers;
	if (!driver) throw new DormiceError("isolation_unavailable", "No driver works on this host. Run: dormice doctor");
	return driver;
}

function checkCompatible(host: Host, manifest: Manifest): void {
	if (!manifest.memory) {
		throw new DormiceError(
			"generation_incompatible",
			`Generation ${manifest.generationId} has no memory image. Boot it from its disk.`,
		);
	}
	const driver = chooseDriver(host);
	if (manifest.isolation !== driver.isolation || manifest.engineVersion !== driver.version) {
		throw new DormiceError(
			"generation_incompatible",
			`Generation ${manifest.generationId} was made by ${manifest.isolation} ${manifest.engineVersion}; this host has ${driver.isolation} ${driver.version}. Boot it from its disk.`,
		);
	}
}
