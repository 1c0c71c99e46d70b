import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { DormiceError, type engine, GUEST, ISOLATIONS, type Isolation, newId } from "@dormice/protocol";
import type { ProbeReport } from "./driver.ts";
import { probeDrivers } from "./drivers.ts";
import type { Host } from "./host.ts";
import { bestEffort } from "./log.ts";
import { MicrovmDriver } from "./microvm/driver.ts";
import { kvmVerdict, rememberKvm } from "./microvm/kvm.ts";
import type { Queue } from "./queue.ts";
import { destroy } from "./sandboxes/destroy.ts";
import { boot } from "./sandboxes/start.ts";

const STARTS_WITHIN_MS = 120_000;
/** A guest under KVM takes a second or two; where KVM hangs it takes for ever. */
const KVM_ANSWERS_WITHIN_MS = 15_000;
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
		if (inUse instanceof MicrovmDriver && report.acceleration === "emulated") await tryKvm(host, queue, inUse, report);
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

/** Boots a guest under KVM, within a deadline. What comes of it is remembered: the next engine uses KVM, or does not. */
async function tryKvm(host: Host, queue: Queue, driver: MicrovmDriver, report: ProbeReport): Promise<void> {
	if (!existsSync("/dev/kvm")) return;
	const id = newId("sandbox");
	const accelerated = { ...host, drivers: [driver.underKvm()] };
	const startedMs = performance.now();
	const verdict = await queue
		.run(id, () => trial(accelerated, id, "microvm", KVM_ANSWERS_WITHIN_MS))
		.then(
			() => ({ works: true, detail: `a guest answered after ${Math.round(performance.now() - startedMs)} ms` }),
			(error: Error) => ({ works: false, detail: `no guest ran under /dev/kvm: ${error.message.slice(0, 300)}` }),
		);
	await rememberKvm(host.config.data, verdict.works, verdict.detail);
	const need = report.needs.find(({ name }) => name === "KVM");
	if (need) Object.assign(need, kvmVerdict(host.config.data), { found: verdict.works });
}

/** `answersWithinMs`: it has to, from inside; without, that it was started is enough. */
async function trial(host: Host, id: string, isolation: Isolation, answersWithinMs?: number): Promise<void> {
	const rootfs = (await host.rootfs.list()).at(-1);
	if (!rootfs) throw new DormiceError("not_set_up", "There is no root file system yet. Run: dormice setup");
	try {
		const deadline = AbortSignal.timeout(answersWithinMs ?? STARTS_WITHIN_MS);
		const { slot } = await boot(host, id, TRIAL, { case: "rootfsId", value: rootfs.id }, isolation);
		if (answersWithinMs !== undefined) await answers(host.slots.find(slot).address, deadline);
	} finally {
		await bestEffort("remove the trial sandbox", destroy(host, id, { keepDisk: false, forget: true, behind: false }));
	}
}

/** Resolves when the supervisor in a sandbox answers. */
async function answers(address: string, deadline: AbortSignal): Promise<void> {
	const url = `http://${address}:${GUEST.supervisorPort}/health`;
	for (;;) {
		const signal = AbortSignal.any([deadline, AbortSignal.timeout(1_000)]);
		const answer = await fetch(url, { signal, headers: { connection: "close" } }).catch(() => undefined);
		if (answer?.ok) return;
		if (deadline.aborted) throw new DormiceError("deadline_exceeded", "the guest does not answer");
		await sleep(50);
	}
}
