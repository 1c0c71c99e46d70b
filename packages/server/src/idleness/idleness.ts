import { setTimeout as sleep } from "node:timers/promises";
import { tell } from "../events/record.ts";
import { type ClientProcess, readActivity } from "../guest/activity.ts";
import type { Link } from "../guest/link.ts";
import { eachOf } from "../lifetime/each-of.ts";
import { bestEffort } from "../log.ts";
import { doze } from "../sandboxes/doze.ts";
import type { Host } from "../sandboxes/host.ts";
import { settle } from "../sandboxes/move.ts";
import type { Resident } from "../sandboxes/resident.ts";
import { type Busy, type CpuReading, spinning, usedBetween } from "./busiest.ts";
import { letFall } from "./falling.ts";
import { CPU_NEAR_ZERO_PERCENT, type Sight, type Signal, signalsOf } from "./signals.ts";

/** How many sandboxes are looked at, or frozen, at once. */
const WIDTH = 8;
/** Less says nothing of how much CPU it takes. */
const MIN_WINDOW_MS = 200;

/** Who changed it writes its row soon after; longer than this, and the database was away. */
const LAG_MS = 2_000;
/** Long enough to see who is busy, short enough to wait for. */
const BUSIEST_WINDOW_MS = 400;

/** What was seen of a sandbox since it was last used. */
interface Observation {
	link: Link;
	/** The CPU time it had used by the host's account, when, and what its own processes had by the guest's. */
	reading: { usageUs: number; atMs: number; insideMs?: number | undefined };
	cpu: Sight["cpu"];
	processes: readonly ClientProcess[] | undefined;
	processesSinceMs: number;
	/** What its processes had used when they were last asked for. */
	cpuOf?: CpuReading | undefined;
}

/**
 * Watches the sandboxes that are up and puts to doze those that nothing holds awake. Of one that is in use, it asks nobody
 * anything; of one that is quiet, its CPU time at the beginning and the end of the quiet, and what runs inside at its end.
 */
export class Idleness {
	readonly #host: Host;
	readonly #seen = new WeakMap<Resident, Observation>();
	/** Those of which an event says already that something in them spins. */
	readonly #told = new WeakSet<Link>();

	constructor(host: Host) {
		this.#host = host;
	}

	/** One turn of the loop. */
	async turn(): Promise<void> {
		await eachOf([...this.#host.table.values()], WIDTH, async (resident) => {
			await bestEffort(this.#host.log, `watching ${resident.id}`, this.#consider(resident));
		});
		letFall(this.#host);
	}

	/** What holds a sandbox awake at this moment. */
	async signals(resident: Resident): Promise<Signal[]> {
		const { link, record, work } = resident;
		if (work !== undefined && work.kind !== "doze") {
			return [{ signal: "change", since: record.stateSince, detail: `its state is being changed: ${work.kind}` }];
		}
		if (link === undefined || !isUp(resident)) return [];
		const { processes, processesSinceMs = Date.now() } =
			link.busy > 0 || record.doze === "always" ? { processes: [] } : await this.#ask(resident, link);
		const cpu = this.#seen.get(resident)?.cpu;
		return signalsOf(sightOf(resident, link, { cpu, processes, processesSinceMs }), Date.now());
	}

	/** The processes in a sandbox that is up, by the CPU they use now; empty for one that is not, or does not say. */
	async busiest(resident: Resident): Promise<Busy[]> {
		const { link } = resident;
		if (link === undefined || !isUp(resident) || resident.work !== undefined) return [];
		const look = async () => (await this.#ask(resident, link)).cpuOf;
		const before = await look();
		await sleep(BUSIEST_WINDOW_MS);
		const now = before === undefined || link.closed || resident.dozing ? undefined : await look();
		return before === undefined || now === undefined ? [] : usedBetween(before, now);
	}

	async #consider(resident: Resident): Promise<void> {
		const { link, record, work } = resident;
		if (work === undefined && lags(resident)) await settle(this.#host, resident, resident.dozing ? "idle" : "request");
		if (work !== undefined || link === undefined || !isUp(resident)) return;
		const { dozeAfterMs } = record;
		if (dozeAfterMs === 0) return;
		const quietMs = performance.now() - link.turnedAtMs;
		if (link.busy > 0 || quietMs < dozeAfterMs / 4) {
			this.#seen.delete(resident);
			return;
		}
		const seen = this.#seen.get(resident);
		if (seen === undefined || seen.link !== link) {
			const reading = await this.#readCpu(resident);
			this.#seen.set(resident, { link, reading, cpu: undefined, processes: [], processesSinceMs: Date.now() });
			return;
		}
		const windowMs = performance.now() - seen.reading.atMs;
		if (quietMs < dozeAfterMs || windowMs < Math.max(MIN_WINDOW_MS, dozeAfterMs / 2)) return;
		await this.#look(resident, link, seen);
		if (signalsOf(sightOf(resident, link, seen), Date.now()).length > 0) return;
		// Looking took a while: what was begun meanwhile, by a request or by anybody, comes first.
		if (resident.work !== undefined || resident.link !== link || !isUp(resident)) return;
		this.#seen.delete(resident);
		await doze(this.#host, resident);
	}

	/** Looks at its CPU and its processes, for the time since the last look. */
	async #look(resident: Resident, link: Link, seen: Observation): Promise<void> {
		const before = seen.reading;
		const reading = await this.#readCpu(resident);
		const byHost = (reading.usageUs - before.usageUs) / ((reading.atMs - before.atMs) * 10);
		const isIdle = resident.record.doze === "idle";
		const asked = isIdle || byHost >= CPU_NEAR_ZERO_PERCENT ? await this.#ask(resident, link) : undefined;
		seen.reading = { ...reading, insideMs: asked?.cpuMs };
		const percent = Math.min(byHost, percentInside(before, seen.reading) ?? byHost);
		const wasBusy = signalsOf({ ...sightOf(resident, link, seen), processes: [] }, Date.now());
		const sinceMs = wasBusy.some(({ signal }) => signal === "cpu") ? seen.cpu?.sinceMs : undefined;
		seen.cpu = { percent, sinceMs: sinceMs ?? toWallClock(before.atMs) };
		await this.#watchForSpinning(resident, link, { before: seen.cpuOf, now: asked?.cpuOf });
		seen.cpuOf = asked?.cpuOf;
		if (isIdle && asked) Object.assign(seen, { processes: asked.processes, processesSinceMs: asked.processesSinceMs });
	}

	/** What spins since its sandbox woke is told once, by name. */
	async #watchForSpinning(
		resident: Resident,
		link: Link,
		{ before, now }: { before: CpuReading | undefined; now: CpuReading | undefined },
	): Promise<void> {
		if (before === undefined || now === undefined || this.#told.has(link)) return;
		const found = spinning(before, now, link.openedAtMs);
		if (found === undefined) return;
		this.#told.add(link);
		const { database, log } = this.#host;
		const detail = { pid: String(found.pid), process: found.cmd, percent: String(found.percent) };
		log.warn({ sandbox: resident.id, ...detail }, "a process has used a CPU since its sandbox woke");
		await tell(database, log, resident.id, { kind: "spinning", reason: "idle", detail });
	}

	async #readCpu(resident: Resident): Promise<Observation["reading"]> {
		const { cpuUsageUs, memoryBytes } = await this.#host.engine.stats(resident.id);
		resident.memoryBytes = memoryBytes;
		return { usageUs: cpuUsageUs, atMs: performance.now() };
	}

	async #ask(resident: Resident, link: Link) {
		const { log } = this.#host;
		const activity = await bestEffort(log, `asking ${resident.id} what runs`, readActivity(link));
		const processes = activity?.processes;
		resident.hooks = activity?.hooks;
		const seen = this.#seen.get(resident);
		const asBefore = seen !== undefined && kindOf(seen.processes) === kindOf(processes);
		return {
			processes,
			processesSinceMs: asBefore ? seen.processesSinceMs : Date.now(),
			cpuMs: activity?.cpuMs,
			cpuOf: activity && { atMs: performance.now(), processes: activity.busiest },
		};
	}
}

/**
 * What its own processes used of a CPU between two readings. On a host that is hard at work, on its disk above all, the
 * host's account of an idle gVisor grows from 5 % to 40 (measured): each of its thousand wake-ups a second takes longer.
 */
function percentInside(before: Observation["reading"], now: Observation["reading"]): number | undefined {
	if (before.insideMs === undefined || now.insideMs === undefined || now.insideMs < before.insideMs) return undefined;
	return ((now.insideMs - before.insideMs) / (now.atMs - before.atMs)) * 100;
}

function isUp({ link, dozing, record: { state } }: Resident): boolean {
	return link !== undefined && !link.closed && !dozing && (state === "running" || state === "dozing");
}

/** Whether its row still does not say that it dozes, or does not. */
function lags({ dozing, link, turnedAt, record: { state } }: Resident): boolean {
	if (link === undefined || Date.now() - turnedAt.getTime() < LAG_MS) return false;
	return (state === "dozing" && !dozing) || (state === "running" && dozing);
}

function kindOf(processes: Observation["processes"]): "unknown" | "none" | "some" {
	if (processes === undefined) return "unknown";
	return processes.length === 0 ? "none" : "some";
}

function sightOf(
	{ record }: Resident,
	link: Link,
	seen: Pick<Observation, "cpu" | "processes" | "processesSinceMs">,
): Sight {
	return {
		rest: record,
		busy: link.busy,
		turnedAtMs: toWallClock(link.turnedAtMs),
		stateSinceMs: record.stateSince.getTime(),
		cpu: seen.cpu,
		processes: seen.processes,
		processesSinceMs: seen.processesSinceMs,
	};
}

/** A moment of `performance.now()` as one of `Date.now()`. */
function toWallClock(atMs: number): number {
	return Date.now() - (performance.now() - atMs);
}
