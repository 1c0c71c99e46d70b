import type { Metric } from "../database/schema.ts";
import type { Stats } from "../engine/engine.ts";
import { callSupervisor } from "../guest/supervisor.ts";
import { eachOf } from "../lifetime/each-of.ts";
import { bestEffort } from "../log.ts";
import type { Host } from "../sandboxes/host.ts";
import type { Resident } from "../sandboxes/resident.ts";

/** What the supervisor sees from inside. */
interface Inside {
	cpu_used_pct?: number;
	mem_used?: number;
	mem_total?: number;
	mem_cache?: number;
}

interface CpuReading {
	usageUs: number;
	atMs: number;
}

const WIDTH = 4;
const ASK_TIMEOUT_MS = 3_000;
const MIB = 1 << 20;

/** Takes samples of running sandboxes. Remembers the last CPU reading of each, since a share needs two. */
export class Sampler {
	readonly #host: Host;
	readonly #lastCpu = new WeakMap<Resident, CpuReading>();

	constructor(host: Host) {
		this.#host = host;
	}

	/** One turn of the loop: a sample of every sandbox that runs. */
	async sampleAll(): Promise<void> {
		const awake = [...this.#host.table.values()].filter(
			({ record, link, work, dozing }) =>
				record.state === "running" && link !== undefined && work === undefined && !dozing,
		);
		await eachOf(awake, WIDTH, async (resident) => {
			await bestEffort(this.#host.log, `sampling ${resident.id}`, this.sample(resident));
		});
	}

	/** Takes and stores one sample. */
	async sample(resident: Resident): Promise<Metric> {
		const { engine, database } = this.#host;
		const [stats, inside] = await Promise.all([engine.stats(resident.id), this.#inside(resident)]);
		resident.memoryBytes = stats.memoryBytes;
		const metric = toMetric(resident, stats, inside, this.#share(resident, stats) ?? inside.cpu_used_pct ?? 0);
		await database
			.insertInto("metrics")
			.values(metric)
			.onConflict((conflict) => conflict.doNothing())
			.execute();
		return metric;
	}

	async #inside({ id, link, record, dozing }: Resident): Promise<Inside> {
		// A dozing one is not woken to be asked.
		if (link === undefined || dozing) return {};
		const { accessToken } = record;
		const ask = callSupervisor(link, { method: "GET", path: "/metrics", accessToken, timeoutMs: ASK_TIMEOUT_MS });
		const answer = await bestEffort(this.#host.log, `asking ${id} for its metrics`, ask);
		return answer?.status === 200 ? parseInside(answer.body) : {};
	}

	/** Percent of all the CPUs a sandbox has, since the sample before. */
	#share(resident: Resident, { cpuUsageUs }: Stats): number | undefined {
		const last = this.#lastCpu.get(resident);
		const now: CpuReading = { usageUs: cpuUsageUs, atMs: performance.now() };
		this.#lastCpu.set(resident, now);
		// Started anew since then, or asked again at once.
		if (last === undefined || cpuUsageUs < last.usageUs || now.atMs - last.atMs < 500) return undefined;
		const percent = (cpuUsageUs - last.usageUs) / ((now.atMs - last.atMs) * 10);
		return Math.min(100, percent / resident.record.cpuCount);
	}
}

function toMetric({ id, record }: Resident, stats: Stats, inside: Inside, cpuUsedPct: number): Metric {
	return {
		sandboxId: id,
		at: new Date(),
		cpuCount: record.cpuCount,
		cpuUsedPct: Math.round(cpuUsedPct * 100) / 100,
		memUsedBytes: inside.mem_used ?? stats.memoryBytes,
		memTotalBytes: inside.mem_total ?? record.memoryMib * MIB,
		memCacheBytes: inside.mem_cache ?? stats.memoryCacheBytes,
		diskUsedBytes: stats.diskUsedBytes,
		diskTotalBytes: stats.diskTotalBytes || record.diskMib * MIB,
	};
}

/** The guest says what it likes: only whole numbers that a database can hold are taken from it. */
function parseInside(body: string): Inside {
	let parsed: unknown;
	try {
		parsed = JSON.parse(body);
	} catch {
		return {};
	}
	if (typeof parsed !== "object" || parsed === null) return {};
	const fields = parsed as Record<string, unknown>;
	const inside: Inside = {};
	for (const name of ["mem_used", "mem_total", "mem_cache"] as const) {
		const value = fields[name];
		if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) inside[name] = value;
	}
	const { cpu_used_pct: share } = fields;
	if (typeof share === "number" && share >= 0 && share <= 100) inside.cpu_used_pct = share;
	return inside;
}
