import type { MessageInitShape } from "@bufbuild/protobuf";
import { DormiceError, type engine, ISOLATIONS, type Isolation, newId } from "@dormice/protocol";
import type { ProbeReport } from "./driver.ts";
import { probeDrivers } from "./drivers.ts";
import type { Host } from "./host.ts";
import { bestEffort } from "./log.ts";
import type { Queue } from "./queue.ts";
import { destroy } from "./sandboxes/destroy.ts";
import { boot } from "./sandboxes/start.ts";

const TRIAL = { cpuCount: 1, memoryMiB: 512, diskMiB: 1024, pids: 256 };

/** What this host can run and why; with `run`, only what really ran counts as usable. */
export async function probe(
	host: Host,
	queue: Queue,
	run: boolean,
): Promise<MessageInitShape<typeof engine.ProbeResponseSchema>> {
	const reports = await probeDrivers(host.config);
	for (const report of reports) {
		// What sandboxes are started with: an update of the host's own is taken up by the next engine.
		const inUse = host.drivers.find(({ isolation }) => isolation === report.isolation);
		if (inUse && report.usable) report.version = inUse.version;
		if (!run || !report.usable) continue;
		const id = newId("sandbox");
		try {
			const startedMs = performance.now();
			await queue.run(id, () => trial(host, id, report.isolation));
			report.reason = `a sandbox ran (${Math.round(performance.now() - startedMs)} ms to boot)`;
		} catch (error) {
			report.usable = false;
			report.reason = `a trial sandbox did not run: ${error instanceof Error ? error.message : String(error)}`;
		}
	}
	const { totalBytes, freeBytes } = await host.pool.space();
	return {
		drivers: reports,
		isolation: strongest(reports) ?? "",
		poolId: host.pool.id,
		poolTotalBytes: BigInt(totalBytes),
		poolFreeBytes: BigInt(freeBytes),
		cgroupVersion: host.cgroups.hierarchy.version,
		guestId: await host.guests.current().catch(() => ""),
	};
}

/** What sandboxes get that ask for none. Never one in software emulation: nobody is to get that unasked. */
export function strongest(reports: readonly ProbeReport[]): Isolation | undefined {
	const fit = reports.filter(({ usable, acceleration }) => usable && acceleration !== "emulated");
	return ISOLATIONS.find((isolation) => fit.some((report) => report.isolation === isolation));
}

async function trial(host: Host, id: string, isolation: Isolation): Promise<void> {
	const rootfs = (await host.rootfs.list()).at(-1);
	if (!rootfs) throw new DormiceError("not_set_up", "There is no root file system yet. Run: dormice setup");
	try {
		await boot(host, id, TRIAL, { case: "rootfsId", value: rootfs.id }, isolation);
	} finally {
		await bestEffort("remove the trial sandbox", destroy(host, id, { keepDisk: false, forget: true, behind: false }));
	}
}
