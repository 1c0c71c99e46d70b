import type { MessageInitShape } from "@bufbuild/protobuf";
import type { engine } from "@dormice/protocol";
import type { Host } from "../host.ts";
import { mountedDisk } from "../machines/machine.ts";
import type { SandboxRecord } from "./record.ts";

/** What the sandbox uses now, seen from outside. */
export async function stats(
	host: Host,
	record: SandboxRecord,
): Promise<MessageInitShape<typeof engine.StatsResponseSchema>> {
	const [usage, disk] = await Promise.all([
		host.cgroups.usage(record.machineId),
		host.disks.usage(record.id, mountedDisk(host, record)),
	]);
	return {
		cpuUsageUs: BigInt(usage.cpuUs),
		memoryBytes: BigInt(usage.memoryBytes),
		memoryCacheBytes: BigInt(usage.cacheBytes),
		diskUsedBytes: BigInt(disk.usedBytes),
		diskTotalBytes: BigInt(disk.totalBytes),
		processes: usage.tasks,
	};
}
