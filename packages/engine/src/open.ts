import { chmod, mkdir } from "node:fs/promises";
import { exposed } from "@dormice/protocol";
import { Background } from "./background.ts";
import { Cgroups } from "./cgroup/cgroup.ts";
import type { Config } from "./config.ts";
import { Disks } from "./disk/disks.ts";
import { Pool } from "./disk/pool.ts";
import { openDrivers } from "./drivers.ts";
import { Faults } from "./faults.ts";
import { Generations } from "./generations/generations.ts";
import { Guests } from "./guest.ts";
import type { Host, HostParts } from "./host.ts";
import { log } from "./log.ts";
import { ReadyMachines } from "./machines/ready.ts";
import { removeOrphans } from "./machines/remove.ts";
import { Images } from "./microvm/images.ts";
import { Native } from "./native.ts";
import { Slots } from "./network/slots.ts";
import { RootfsStore } from "./rootfs/rootfs.ts";
import { Logs } from "./sandboxes/logs.ts";
import { Records } from "./sandboxes/record.ts";

/** Takes hold of this host. What an earlier engine left running stays as it is; what it left half-made is cleared. */
export async function openHost(config: Config): Promise<Host> {
	await mkdir(config.run, { recursive: true, mode: 0o711 });
	await closeToOthers(config);
	const native = await Native.build(config.data);
	const records = new Records(config.run);
	await records.open();
	const [pool, cgroups, living] = await Promise.all([
		Pool.open({ data: config.data, ownMount: config.pool, sizeGiB: config.poolGiB, native }),
		Cgroups.open(config.instance),
		records.list(),
	]);
	// The pool's own root is there only now.
	await closeToOthers(config);
	const faults = new Faults(config.faults);
	const generations = new Generations(pool, faults);
	const stored = await generations.list();
	const needed = new Set([...stored, ...living].map(({ engineVersion }) => engineVersion ?? ""));
	const rootfs = new RootfsStore(pool);
	const guests = new Guests(config.data);
	const images = new Images({ pool, rootfs, guests });
	const { usable, reports } = await openDrivers(config, { native, pool, images }, needed);
	for (const report of reports) if (!report.usable) log.warn({ report }, `${report.isolation} cannot be used`);
	const logs = new Logs(config.data);
	const disks = new Disks(pool, native);
	await Promise.all([logs.open(living), generations.removePartials()]);
	await removeOrphans({ config, cgroups, native }, new Set(living.map((record) => record.machineId)));
	await disks.emptyTrash();
	const { instance, slotNet, slotsReady, serverGid } = config;
	const slotsInUse = new Set(living.map((record) => record.slot));
	const slots = await Slots.open({ instance, slotNet, ready: slotsReady, serverGid, native }, slotsInUse);
	const parts: HostParts = {
		config,
		native,
		faults,
		drivers: usable,
		pool,
		cgroups,
		records,
		logs,
		generations,
		slots,
		rootfs,
		disks,
		guests,
		background: new Background(),
	};
	return { ...parts, ready: new ReadyMachines(parts, config.machinesReady) };
}

/** An earlier version, or somebody's hand, may have left something open to the other users of this host. */
async function closeToOthers({ data, run, pool }: Config): Promise<void> {
	for (const { path, mode, closedMode } of exposed({ data, run, pool })) {
		await chmod(path, closedMode).catch((error: NodeJS.ErrnoException) => {
			// Somebody's passing work, which is gone.
			if (error.code !== "ENOENT") throw error;
		});
		log.warn({ path, mode: mode.toString(8) }, "other users of this host could open this; now they cannot");
	}
}

/** Lets go of this host: nothing stays that only a living engine needs. */
export async function closeHost(host: Host): Promise<void> {
	const last = (await host.records.list()).length === 0;
	const steps: [string, () => Promise<void>][] = [
		["remove the machines kept ready", () => host.ready.close()],
		["finish clearing away", () => host.background.idle()],
		["release network slots", () => host.slots.close({ last })],
	];
	if (last) steps.push(["remove cgroups", () => host.cgroups.close()], ["unmount the pool", () => host.pool.close()]);
	for (const [what, step] of steps) {
		try {
			await step();
		} catch (error) {
			// The next engine does it; the steps after this one are worth as much.
			log.error({ err: error }, `could not ${what}`);
		}
	}
	host.native.close();
}
