import { join } from "node:path";
import type { Machine } from "../driver.ts";
import type { Host } from "../host.ts";
import type { SandboxRecord } from "./record.ts";

/** Where a sandbox's mounts are, below the run directory. */
export function mountsOf(host: Host, record: { id: string; rootfsId: string }) {
	const dir = host.records.dir(record.id);
	return { disk: join(dir, "disk"), root: join(dir, "root"), lower: host.rootfs.path(record.rootfsId) };
}

/** The sandbox as its driver sees it. */
export function machineOf(host: Host, record: SandboxRecord): Machine {
	const dir = host.records.dir(record.id);
	return {
		id: record.id,
		dir,
		root: join(dir, "root"),
		netns: host.slots.find(record.slot).netns,
		limits: record.limits,
		guest: host.guests.path(record.guestId),
		bootIdFile: join(dir, "boot_id"),
		cgroup: host.cgroups.path(record.id),
		launch: [host.native, "launch", host.logs.path(record.id), ...host.cgroups.doors(record.id), "--"],
	};
}
