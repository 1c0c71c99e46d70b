import { readFile, statfs } from "node:fs/promises";
import { availableParallelism, cpus } from "node:os";

const MIB = 1024 * 1024;

/** What the sandbox uses, as `GET /metrics` says it. Sizes in bytes unless the name says MiB. */
export interface Metrics {
	readonly ts: number;
	readonly cpu_count: number;
	/** Since the last time it was asked. */
	readonly cpu_used_pct: number;
	readonly mem_total: number;
	readonly mem_used: number;
	readonly mem_cache: number;
	readonly mem_total_mib: number;
	readonly mem_used_mib: number;
	readonly disk_used: number;
	readonly disk_total: number;
}

/** Computes use since the previous reading. */
export class Meter {
	#previous = cpuTimes();

	async read(): Promise<Metrics> {
		const [memory, disk] = await Promise.all([readFile("/proc/meminfo", "utf8"), statfs("/")]);
		const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(memory)?.[1] ?? 0) * 1024;
		const total = kib("MemTotal");
		const cache = kib("Cached") + kib("Buffers");
		const used = Math.max(0, total - kib("MemFree") - cache);
		return {
			ts: Math.floor(Date.now() / 1000),
			cpu_count: availableParallelism(),
			cpu_used_pct: this.#cpuUsedPercent(),
			mem_total: total,
			mem_used: used,
			mem_cache: cache,
			mem_total_mib: Math.floor(total / MIB),
			mem_used_mib: Math.floor(used / MIB),
			disk_used: (disk.blocks - disk.bfree) * disk.bsize,
			disk_total: disk.blocks * disk.bsize,
		};
	}

	#cpuUsedPercent(): number {
		const now = cpuTimes();
		const elapsed = now.all - this.#previous.all;
		const busy = now.busy - this.#previous.busy;
		this.#previous = now;
		return elapsed > 0 ? Math.round((busy / elapsed) * 10_000) / 100 : 0;
	}
}

function cpuTimes(): { busy: number; all: number } {
	let busy = 0;
	let all = 0;
	for (const { times } of cpus()) {
		const working = times.user + times.nice + times.sys + times.irq;
		busy += working;
		all += working + times.idle;
	}
	return { busy, all };
}
