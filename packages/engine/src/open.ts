import { mkdir } from "node:fs/promises";
import { Cgroups } from "./cgroup/cgroup.ts";
import type { Config } from "./config.ts";
import { Disks } from "./disk/disks.ts";
import { Pool } from "./disk/pool.ts";
import { openDrivers } from "./drivers.ts";
import { Generations } from "./generations/generations.ts";
import { Guests } from "./guest.ts";
import type { Host } from "./host.ts";
import { log } from "./log.ts";
import { buildNative } from "./native.ts";
import { Slots } from "./network/slots.ts";
import { RootfsStore } from "./rootfs/rootfs.ts";
import { Logs } from "./sandboxes/logs.ts";
import { Records } from "./sandboxes/record.ts";

/** Takes hold of this host. What an earlier engine left running stays as it is; what it left half-made is cleared. */
export async function openHost(config: Config): Promise<Host> {
	await mkdir(config.run, { recursive: true, mode: 0o711 });
	const [native, { usable, reports }, pool, cgroups] = await Promise.all([
		buildNative(config.data),
		openDrivers(config),
		Pool.open({ data: config.data, ownMount: config.pool, sizeGiB: config.poolGiB }),
		Cgroups.open(config.instance),
	]);
	for (const report of reports) if (!report.usable) log.warn({ report }, `${report.isolation} cannot be used`);
	const records = new Records(config.run);
	const logs = new Logs(config.data);
	await logs.open();
	const generations = new Generations(pool);
	await generations.removePartials();
	const slotsInUse = new Set<number>();
	for (const id of await records.list()) {
		const record = await records.read(id);
		if (record) slotsInUse.add(record.slot);
	}
	const { instance, slotNet, slotsReady: ready, serverGid } = config;
	const slots = await Slots.open({ instance, slotNet, ready, serverGid }, slotsInUse);
	const rootfs = new RootfsStore(pool);
	return {
		config,
		native,
		drivers: usable,
		pool,
		cgroups,
		records,
		logs,
		generations,
		slots,
		rootfs,
		disks: new Disks(pool, native),
		guests: new Guests(config.data),
	};
}

/** Lets go of this host: nothing stays that only a living engine needs. */
export async function closeHost(host: Host): Promise<void> {
	const last = (await host.records.list()).length === 0;
	const steps: [string, () => Promise<void>][] = [["release network slots", () => host.slots.close({ last })]];
	if (last) steps.push(["remove cgroups", () => host.cgroups.close()], ["unmount the pool", () => host.pool.close()]);
	for (const [what, step] of steps) {
		try {
			await step();
		} catch (error) {
			// The next engine does it; the steps after this one are worth as much.
			log.error({ err: error }, `could not ${what}`);
		}
	}
}
