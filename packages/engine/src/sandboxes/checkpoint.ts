import { join } from "node:path";
import { DormiceError, Steps } from "@dormice/protocol";
import type { Process, Written } from "../driver.ts";
import type { Filled, Manifest, Origin } from "../generations/generations.ts";
import type { Host } from "../host.ts";
import { bestEffort, log } from "../log.ts";
import { driverOf, machineOf, mountedDisk, withOverhead } from "../machines/machine.ts";
import { stateOf } from "./list.ts";
import type { SandboxRecord } from "./record.ts";

export type CheckpointOptions = {
	generationId: string;
	memory: boolean;
	parentId: string;
	reason: string;
	/** What runs in it, for its manifest. */
	processes: Process[];
};

type Settings = {
	/** Has the sandbox go on as soon as its memory and disk are taken, and is told then. */
	wentOn?: () => void;
	/** Calls it off after the step in progress: it fails. */
	signal?: AbortSignal;
};

/**
 * Stores the sandbox as a generation, durable when this resolves. The sandbox stands still from then on, unless it was to
 * go on: then it is nobody's business here any more once it does. When this fails, the sandbox goes on and nothing of the
 * generation is left.
 */
export async function checkpoint(
	host: Host,
	record: SandboxRecord,
	options: CheckpointOptions,
	{ wentOn, signal }: Settings = {},
): Promise<Manifest> {
	const state = stateOf(host, record);
	if (state !== "running") {
		throw new DormiceError("state_conflict", `Sandbox ${record.id} is ${state}; only a running one can be stored.`);
	}
	const driver = driverOf(host, record);
	const machine = machineOf(host, record, record.id);
	if (options.memory) await host.pool.requireRoom((await host.cgroups.usage(record.machineId)).memoryBytes);
	const steps = new Steps({ verb: "checkpoint", sandbox: record.id });
	const pausing: SandboxRecord = { ...record, phase: "pausing" };
	const paused: SandboxRecord = { ...record, phase: "paused" };
	/** What is to be undone; undefined once it goes on. */
	let standing: SandboxRecord | undefined = pausing;
	await host.records.write(pausing);
	try {
		host.faults.at("checkpoint.begin");
		await steps.time("cut", host.slots.cut(record.slot));
		await steps.time("pause", driver.pause(machine));
		host.faults.at("checkpoint.paused");
		standing = paused;
		await host.records.write(paused);
		signal?.throwIfAborted();
		const fill = async (dir: string, memoryWritten: (origin: Origin) => void): Promise<Filled> => {
			let written: Written = {};
			if (options.memory) {
				await host.cgroups.makeRoom(record.machineId, withOverhead(driver, record.limits));
				written = await steps.time("memory", driver.checkpoint(machine, join(dir, "memory")));
			}
			signal?.throwIfAborted();
			memoryWritten({ generationId: record.memoryOf, written });
			host.faults.at("checkpoint.memory");
			const store = host.disks.store(record.id, mountedDisk(host, record), join(dir, "disk"), {
				withMemory: options.memory,
			});
			await steps.time("disk", store);
			host.faults.at("checkpoint.disk");
			if (wentOn) {
				// Nothing of what is left to do needs the sandbox: its disk is a copy, its memory is in files.
				standing = pausing;
				await steps.time("resume", resume(host, paused));
				standing = undefined;
				wentOn();
				host.faults.at("checkpoint.went_on");
			}
			return {
				...options,
				rootfsId: record.rootfsId,
				isolation: record.isolation,
				engineVersion: driver.version,
				guestId: record.guestId,
				bootId: record.bootId,
				createdAt: new Date().toISOString(),
				limits: record.limits,
			};
		};
		const manifest = await host.generations.write(options.generationId, fill, { steps, ...(signal && { signal }) });
		steps.done(log);
		return manifest;
	} catch (error) {
		if (standing) await bestEffort(`let ${record.id} go on after a failed checkpoint`, resume(host, standing));
		throw error;
	}
}

/** Lets a sandbox go on that a checkpoint left standing. */
export async function resume(host: Host, record: SandboxRecord): Promise<void> {
	if (record.phase !== "paused" && record.phase !== "pausing") return;
	const driver = driverOf(host, record);
	const machine = machineOf(host, record, record.id);
	const stands = record.phase === "paused" || (await driver.isPaused(machine));
	if (stands) {
		await host.records.write({ ...record, phase: "pausing" });
		host.faults.at("resume.begin");
		await driver.resume(machine);
		const limits = withOverhead(driver, record.limits);
		await bestEffort(`take back room of ${record.id}`, host.cgroups.takeRoom(record.machineId, limits));
		host.faults.at("resume.done");
	}
	await host.records.write({ ...record, phase: "running" });
}
