import type { Background } from "./background.ts";
import type { Cgroups } from "./cgroup/cgroup.ts";
import type { Config } from "./config.ts";
import type { Disks } from "./disk/disks.ts";
import type { Pool } from "./disk/pool.ts";
import type { Driver } from "./driver.ts";
import type { Faults } from "./faults.ts";
import type { Generations } from "./generations/generations.ts";
import type { Guests } from "./guest.ts";
import type { ReadyMachines } from "./machines/ready.ts";
import type { Native } from "./native.ts";
import type { Slots } from "./network/slots.ts";
import type { RootfsStore } from "./rootfs/rootfs.ts";
import type { Logs } from "./sandboxes/logs.ts";
import type { Records } from "./sandboxes/record.ts";

/** What the engine has of this host: the parts that its verbs put together. */
export type HostParts = {
	readonly config: Config;
	readonly native: Native;
	readonly faults: Faults;
	readonly drivers: readonly Driver[];
	readonly pool: Pool;
	readonly rootfs: RootfsStore;
	readonly disks: Disks;
	readonly generations: Generations;
	readonly guests: Guests;
	readonly slots: Slots;
	readonly cgroups: Cgroups;
	readonly background: Background;
	readonly records: Records;
	readonly logs: Logs;
};

export type Host = HostParts & { readonly ready: ReadyMachines };
