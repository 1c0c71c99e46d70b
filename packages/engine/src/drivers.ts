import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "./config.ts";
import type { Driver, ProbeReport } from "./driver.ts";
import { GvisorDriver } from "./gvisor/driver.ts";
import { KeptReleases } from "./gvisor/kept.ts";
import { probeRunsc } from "./gvisor/probe.ts";
import { MicrovmDriver, type MicrovmParts } from "./microvm/driver.ts";
import { kernelAt } from "./microvm/kernel.ts";
import { type Microvms, probeQemu } from "./microvm/probe.ts";

/**
 * Asks the host what it can run. Of each isolation the first driver is the one that new sandboxes get; the others are older
 * releases of it, for the states that they stored. `needed`: versions that something on this host was stored or is run by.
 */
export async function openDrivers(
	config: Config,
	parts: MicrovmParts,
	needed: ReadonlySet<string>,
): Promise<{ usable: Driver[]; reports: ProbeReport[] }> {
	const [gvisor, microvm] = await Promise.all([probeRunsc(config.runsc), probeQemu(config)]);
	const usable: Driver[] = [];
	if (gvisor.usable) usable.push(...(await openGvisor(config, parts, gvisor.version, needed)));
	if (microvm.found) usable.push(...(await openMicrovm(config, parts, microvm.found)));
	return { usable, reports: [gvisor, microvm.report] };
}

/** What this host has now, which may be newer than what the engine began with. */
export async function probeDrivers(config: Config): Promise<ProbeReport[]> {
	return Promise.all([probeRunsc(config.runsc), probeQemu(config).then(({ report }) => report)]);
}

async function openGvisor(
	config: Config,
	{ native }: MicrovmParts,
	version: string,
	needed: ReadonlySet<string>,
): Promise<Driver[]> {
	const kept = new KeptReleases(config.data);
	const current = await kept.keep(config.runsc, version);
	await kept.removeOthers(new Set([...needed, current.version]));
	const older = (await kept.list()).filter((release) => release.version !== current.version);
	return [current, ...older].map((release) => new GvisorDriver(release, native));
}

async function openMicrovm(config: Config, parts: MicrovmParts, microvms: Microvms): Promise<Driver[]> {
	const { monitor, kernel: current, versionOf } = microvms;
	const dir = join(config.data, "kernel");
	const others = (await readdir(dir)).filter((version) => version !== current.version);
	const kernels = [current, ...others.flatMap((version) => kernelAt(dir, version) ?? [])];
	return kernels.map((kernel) => new MicrovmDriver(versionOf(kernel), monitor, kernel, parts));
}
