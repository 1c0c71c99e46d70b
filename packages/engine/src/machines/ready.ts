import { mkdir, writeFile } from "node:fs/promises";
import type { Driver } from "../driver.ts";
import type { HostParts } from "../host.ts";
import type { Limits } from "../limits.ts";
import { bestEffort, log } from "../log.ts";
import { machineDir, machineOf, newMachineId, withOverhead } from "./machine.ts";
import { removeMachine } from "./remove.ts";

/** A machine that was started ahead and waits, empty, for a memory image. */
export type ReadyMachine = {
	readonly machineId: string;
	readonly slot: number;
	readonly limits: Limits;
	readonly driver: Driver;
};

/** Not while what took the last one still starts: making the next one takes as much of a core. */
const FILL_AFTER_MS = 700;

/**
 * Machines started ahead, so that a wake need not start any program. They are frozen until one is taken, for gVisor's kernel
 * looks around every millisecond even while it is empty: 2 % of a core for each. They are made for the limits that
 * were last asked for.
 */
export class ReadyMachines {
	readonly #host: HostParts;
	readonly #count: number;
	readonly #ready: ReadyMachine[] = [];
	/** What was last asked for, of each driver. */
	readonly #wanted = new Map<Driver, Limits>();
	#timer: NodeJS.Timeout | undefined;
	#filling: Promise<void> | undefined;
	#closed = false;

	constructor(host: HostParts, count: number) {
		this.#host = host;
		this.#count = count;
	}

	/** One that was started for these limits, if there is one. It is the caller's from now on. */
	take(driver: Driver, limits: Limits): ReadyMachine | undefined {
		if (driver.prestart === undefined) return undefined;
		const at = this.#ready.findIndex((one) => one.driver === driver && fits(one.limits, limits));
		this.#wanted.set(driver, limits);
		this.#fillSoon();
		const [one] = at < 0 ? [] : this.#ready.splice(at, 1);
		// At once: what it is to do next comes over its sockets and waits for it there.
		if (one !== undefined) this.#host.cgroups.thawNow(one.machineId);
		return one;
	}

	/** Removes what is ready. */
	async close(): Promise<void> {
		this.#closed = true;
		clearTimeout(this.#timer);
		await this.#filling;
		for (const one of this.#ready.splice(0)) await this.#remove(one);
	}

	#fillSoon(): void {
		clearTimeout(this.#timer);
		if (this.#closed || this.#count === 0) return;
		this.#timer = setTimeout(() => {
			this.#filling ??= this.#fill().finally(() => {
				this.#filling = undefined;
			});
		}, FILL_AFTER_MS);
	}

	async #fill(): Promise<void> {
		for (const [driver, limits] of this.#wanted) await this.#fillFor(driver, limits);
	}

	async #fillFor(driver: Driver, limits: Limits): Promise<void> {
		const ofDriver = () => this.#ready.filter((one) => one.driver === driver);
		for (const stale of ofDriver().filter((one) => !fits(one.limits, limits))) {
			this.#ready.splice(this.#ready.indexOf(stale), 1);
			await this.#remove(stale);
		}
		while (!this.#closed && ofDriver().length < this.#count) {
			try {
				this.#ready.push(await this.#make(driver, limits));
			} catch (error) {
				log.error({ err: error }, "could not start a machine ahead");
				return;
			}
		}
	}

	async #make(driver: Driver, limits: Limits): Promise<ReadyMachine> {
		const host = this.#host;
		const machineId = newMachineId();
		const slot = await host.slots.claim();
		const one = { machineId, slot: slot.n, limits, driver };
		try {
			const machine = machineOf(host, { ...one, guestId: await host.guests.current() }, machineId);
			await mkdir(machineDir(host, machineId), { recursive: true, mode: 0o700 });
			await writeFile(machine.bootIdFile, "");
			await host.cgroups.create(machineId, withOverhead(driver, limits));
			await driver.prestart?.(machine);
			await host.cgroups.freeze(machineId);
			return one;
		} catch (error) {
			await bestEffort("remove a machine that did not start", this.#remove(one));
			throw error;
		}
	}

	async #remove({ machineId, slot }: ReadyMachine): Promise<void> {
		await removeMachine(this.#host, machineId);
		this.#host.slots.discard(slot);
		await this.#host.logs.delete(machineId);
	}
}

/** Whether a machine made for `a` can take a sandbox of `b`: the size of the disk is none of its business. */
function fits(a: Limits, b: Limits): boolean {
	return a.cpuCount === b.cpuCount && a.memoryMiB === b.memoryMiB && a.pids === b.pids;
}
