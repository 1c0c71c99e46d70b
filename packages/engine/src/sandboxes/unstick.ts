import { GUEST } from "@dormice/protocol";
import { KEPT_FREE_BYTES } from "../disk/pool.ts";
import type { Host } from "../host.ts";
import { bestEffort, log } from "../log.ts";
import { driverOf, machineOf } from "../machines/machine.ts";
import type { Queue } from "../queue.ts";
import { stateOf } from "./list.ts";

const HEARS_WITHIN_MS = 30_000;

/**
 * Lets machines go on that stopped because the pool had no room for what they wrote: those that can wait for it lose nothing.
 * Only machines that ran while it was short are asked, and those that an engine before this one left.
 */
export class Unsticking {
	readonly #host: Host;
	readonly #queue: Queue;
	/** Sandboxes whose machine may have stopped; undefined: any. */
	#suspects: Set<string> | undefined;
	#isLooking = false;

	constructor(host: Host, queue: Queue) {
		this.#host = host;
		this.#queue = queue;
	}

	/** Called every second: while the pool has room and had it, it asks the file system for that and nobody else for anything. */
	async look(): Promise<void> {
		if (this.#isLooking) return;
		this.#isLooking = true;
		await this.#look().finally(() => {
			this.#isLooking = false;
		});
	}

	async #look(): Promise<void> {
		const { pool, records } = this.#host;
		const { freeBytes } = await pool.space();
		const isShort = freeBytes < KEPT_FREE_BYTES;
		if (!isShort && this.#suspects?.size === 0) return;
		const waiting = new Set(this.#host.drivers.filter((driver) => driver.unstick).map(({ isolation }) => isolation));
		const there = (await records.list()).filter(({ isolation }) => waiting.has(isolation)).map(({ id }) => id);
		if (isShort || this.#suspects === undefined) this.#suspects = new Set([...(this.#suspects ?? []), ...there]);
		if (isShort) return;
		for (const id of this.#suspects)
			await bestEffort(
				`look whether ${id} waits for room`,
				this.#queue.run(id, () => this.#ask(id)),
			);
	}

	async #ask(id: string): Promise<void> {
		const record = await this.#host.records.read(id);
		// One that is frozen answers nobody; it is asked when it is not any more.
		if (record !== undefined && stateOf(this.#host, record) !== "running") return;
		const went = record && (await driverOf(this.#host, record).unstick?.(machineOf(this.#host, record, id)));
		// Not before it has answered: one that could not be asked is asked again.
		this.#suspects?.delete(id);
		if (!went) return;
		log.info({ sandbox: id }, "the pool has room again: a machine that waited for it goes on");
		this.#host.background.run(`tell ${id} the time`, () => tellTheTime(this.#host.slots.find(record.slot).address));
	}
}

/** Its clock goes on at the time at which it stopped. The first that it is told may reach it late; the second does not. */
async function tellTheTime(address: string): Promise<void> {
	for (let turn = 0; turn < 2; turn++) {
		const response = await fetch(`http://${address}:${GUEST.hostPort}/dormice/clock`, {
			method: "POST",
			headers: { connection: "close" },
			body: JSON.stringify({ timestamp: new Date().toISOString() }),
			signal: AbortSignal.timeout(HEARS_WITHIN_MS),
		});
		await response.body?.cancel();
	}
}
