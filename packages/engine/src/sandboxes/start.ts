import { randomUUID } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { DormiceError, type Isolation, Steps } from "@dormice/protocol";
import { cpuFeatures } from "../cpu.ts";
import type { Driver, Machine } from "../driver.ts";
import type { Manifest } from "../generations/generations.ts";
import type { Host } from "../host.ts";
import type { Limits } from "../limits.ts";
import { bestEffort, log } from "../log.ts";
import { machineOf, mountsOf, newMachineId, withOverhead } from "../machines/machine.ts";
import type { ReadyMachine } from "../machines/ready.ts";
import { destroy } from "./destroy.ts";
import type { SandboxRecord } from "./record.ts";

/** Where the disk of a cold boot comes from. */
export type BootSource =
	| { case: "rootfsId"; value: string }
	| { case: "generationId"; value: string }
	| { case: "ownDisk"; value: boolean };

/** Starts a sandbox from nothing but a disk, with this isolation or, where none is asked for, what the engine prefers. */
export async function boot(
	host: Host,
	id: string,
	limits: Limits,
	source: BootSource,
	isolation?: Isolation,
): Promise<SandboxRecord> {
	const driver = chooseDriver(host, isolation);
	await checkAbsent(host, id);
	const disk = await bootDisk(host, id, limits, source);
	const record = { id, limits, rootfsId: disk.rootfsId, guestId: await host.guests.current(), bootId: randomUUID() };
	return start(host, driver, record, disk, async (machine, mounted) => {
		await mounted;
		return driver.boot(machine);
	});
}

/** Starts a sandbox from a generation's memory and a copy of its disk, in a machine that waits for one if there is any. */
export async function restore(host: Host, id: string, limits: Limits, generationId: string): Promise<SandboxRecord> {
	await checkAbsent(host, id);
	const manifest = await host.generations.read(generationId);
	const driver = checkCompatible(host, manifest);
	const { rootfsId, guestId, bootId } = manifest;
	const record = { id, limits, rootfsId, guestId, bootId, memoryOf: generationId };
	// With the disk, for which everything waits before anything runs.
	const make = async () => {
		await Promise.all([
			host.disks.createFrom(id, host.generations.disk(generationId)),
			host.generations.verify(manifest),
		]);
	};
	const disk = { keepOnFailure: false, make };
	const memory = host.generations.memory(generationId);
	// Those that wait are of the drivers that new sandboxes get.
	const ready = driver === chooseDriver(host, driver.isolation) ? host.ready.take(driver, limits) : undefined;
	const fill = ready && driver.fill?.bind(driver);
	const anew = () => start(host, driver, record, disk, (machine, mounted) => driver.restore(machine, memory, mounted));
	try {
		if (!fill) return await anew();
		return await start(host, driver, record, disk, (machine, mounted) => fill(machine, memory, mounted), ready);
	} catch (error) {
		// A sandbox's kernel may die of its start under load, and the next one lives.
		const { reason } = error instanceof DormiceError ? error : { reason: "internal" };
		if (fill ? reason === "generation_corrupt" : reason !== "command_failed") throw error;
		log.warn({ err: error, sandbox: id }, "a machine did not take its state; trying another");
	}
	return anew();
}

type NewRecord = Pick<SandboxRecord, "id" | "limits" | "rootfsId" | "guestId" | "bootId" | "memoryOf">;
type Launch = (machine: Machine, mounted: Promise<unknown>) => Promise<number>;
type Disk = { keepOnFailure: boolean; make: () => Promise<void> };

/** Puts the parts together and lets the driver start the machine. What it made is gone again when it throws. */
async function start(
	host: Host,
	driver: Driver,
	base: NewRecord,
	disk: Disk,
	launch: Launch,
	ready?: ReadyMachine,
): Promise<SandboxRecord> {
	const steps = new Steps({ verb: "start", sandbox: base.id, ready: String(ready !== undefined) });
	const machineId = ready?.machineId ?? newMachineId();
	const slot = ready?.slot ?? (await host.slots.claim()).n;
	const { isolation, version: engineVersion } = driver;
	const record: SandboxRecord = { ...base, machineId, isolation, engineVersion, slot, phase: "starting", pid: 0 };
	try {
		// The record first: whatever is made after it is found again by its id.
		await host.records.write(record);
		const machine = machineOf(host, record, record.id);
		await mkdir(machine.dir, { recursive: true, mode: 0o700 });
		await Promise.all([
			ready
				? host.logs.adopt(machineId, record.id)
				: host.cgroups.create(machineId, withOverhead(driver, record.limits)),
			writeFile(machine.bootIdFile, `${record.bootId}\n`),
		]);
		const at = { ...mountsOf(host, machineId), lower: host.rootfs.path(record.rootfsId) };
		const prepare = async () => {
			await disk.make();
			if (driver.disk === "mounted") record.repaired = await host.disks.mount(record.id, machine.uid, at);
			// A kernel that goes on from memory has the disk mounted as it is: behind its back nothing may change.
			else if (record.memoryOf === undefined) record.repaired = await host.disks.mend(record.id, machine.uid);
		};
		const mounted = steps.time("disk", prepare());
		try {
			host.faults.at("machine.launch");
			record.pid = await steps.time("machine", launch(machine, mounted));
		} finally {
			// What is being made is undone only once it is there.
			await mounted.catch(() => undefined);
		}
		record.phase = "running";
		await host.records.write(record);
		steps.done(log);
		return record;
	} catch (error) {
		const options = { keepDisk: disk.keepOnFailure, forget: false, behind: false };
		await bestEffort(`undo the start of ${record.id}`, destroy(host, record.id, options));
		throw error;
	}
}

async function checkAbsent(host: Host, id: string): Promise<void> {
	if (await host.records.read(id))
		throw new DormiceError("already_exists", `Sandbox ${id} exists on this host already.`);
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

/** The newest release of what was asked for; nothing else will do. */
function chooseDriver(host: Host, isolation?: Isolation): Driver {
	const driver = host.drivers.find((one) => isolation === undefined || one.isolation === isolation);
	if (driver) return driver;
	const wanted = isolation === undefined ? "driver" : `${isolation} driver`;
	throw new DormiceError("isolation_unavailable", `No ${wanted} works on this host. Run: dormice doctor`);
}

function checkCompatible(host: Host, manifest: Manifest): Driver {
	if (!manifest.memory) {
		throw new DormiceError(
			"generation_incompatible",
			`Generation ${manifest.generationId} has no memory image. Boot it from its disk.`,
		);
	}
	const { generationId, isolation, engineVersion } = manifest;
	const able = new Set(cpuFeatures());
	const missing = (manifest.cpuFeatures ?? []).filter((feature) => !able.has(feature));
	if (missing.length > 0) {
		throw new DormiceError(
			"generation_incompatible",
			`Generation ${generationId} was made on a processor with ${missing.join(", ")}, which this one lacks. Boot it from its disk.`,
		);
	}
	const driver = host.drivers.find((one) => one.isolation === isolation && one.version === engineVersion);
	if (driver) return driver;
	const here = chooseDriver(host, isolation);
	throw new DormiceError(
		"generation_incompatible",
		`Generation ${generationId} was made by ${isolation} ${engineVersion}; this host has ${here.isolation} ${here.version}. Boot it from its disk.`,
	);
}
