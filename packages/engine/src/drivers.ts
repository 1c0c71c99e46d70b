import type { Config } from "./config.ts";
import type { Driver, ProbeReport } from "./driver.ts";
import { GvisorDriver } from "./gvisor/driver.ts";
import { probeRunsc } from "./gvisor/probe.ts";
import type { Native } from "./native.ts";

/** Asks the host what it can run. The first usable driver is the one that new sandboxes get. */
export async function openDrivers(
	config: Config,
	native: Native,
): Promise<{ usable: Driver[]; reports: ProbeReport[] }> {
	const gvisor = await probeRunsc(config.runsc);
	return { usable: gvisor.usable ? [new GvisorDriver(config.runsc, gvisor.version, native)] : [], reports: [gvisor] };
}
