import type { Config } from "./config.ts";
import type { Driver, ProbeReport } from "./driver.ts";
import { GvisorDriver } from "./gvisor/driver.ts";
import { KeptReleases } from "./gvisor/kept.ts";
import { probeRunsc } from "./gvisor/probe.ts";
import type { Native } from "./native.ts";

/**
 * Asks the host what it can run. The first usable driver is the one that new sandboxes get; the others are older releases of
 * it, for the states that they stored. `needed`: versions that something on this host was stored or is run by.
 */
export async function openDrivers(
	config: Config,
	native: Native,
	needed: ReadonlySet<string>,
): Promise<{ usable: Driver[]; reports: ProbeReport[] }> {
	const reports = await probeDrivers(config);
	const [gvisor] = reports;
	if (!gvisor?.usable) return { usable: [], reports };
	const kept = new KeptReleases(config.data);
	const current = await kept.keep(config.runsc, gvisor.version);
	await kept.removeOthers(new Set([...needed, current.version]));
	const older = (await kept.list()).filter(({ version }) => version !== current.version);
	return { usable: [current, ...older].map((release) => new GvisorDriver(release, native)), reports };
}

/** What this host has now, which may be newer than what the engine began with. */
export async function probeDrivers(config: Config): Promise<ProbeReport[]> {
	return [await probeRunsc(config.runsc)];
}
