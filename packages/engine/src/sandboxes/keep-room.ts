import { setTimeout as sleep } from "node:timers/promises";
import { allowAllocation } from "../disk/allocation.ts";
import { KEPT_FREE_BYTES } from "../disk/pool.ts";
import type { Host } from "../host.ts";
import { bestEffort, log } from "../log.ts";
import { mountsOf } from "../machines/machine.ts";
import type { SandboxRecord } from "./record.ts";

/** What of the pool is for journals and metadata alone: half of what storing leaves. */
const FOR_JOURNALS_BYTES = 128 << 20;
/** Below this a guest could take what is left between two looks. */
const NEAR_BYTES = 2 * 2 ** 30;
const LOOK_AGAIN_AFTER_MS = 100;

/**
 * Keeps the last of the pool for what the disks' file systems must write: one that cannot write its journal is read-only
 * from then on. Before that their disks give out no blocks any more, so that programs are told that the disk is full.
 * A reserve in the pool would not do: whoever writes takes it as soon as it is given up.
 */
export class RoomKeeping {
	readonly #host: Host;
	/** Machines whose disks give out nothing; undefined: an engine before this one may have left any like that. */
	#closed: Set<string> | undefined;
	#isLooking = false;

	constructor(host: Host) {
		this.#host = host;
	}

	/**
	 * Called every second. While the pool has room and had it, this asks its file system for that and nothing else; while
	 * little is left it goes on looking, faster.
	 */
	async look(signal: AbortSignal): Promise<void> {
		if (this.#isLooking) return;
		this.#isLooking = true;
		try {
			while ((await this.#look()) && !signal.aborted) await sleep(LOOK_AGAIN_AFTER_MS);
		} finally {
			this.#isLooking = false;
		}
	}

	/** Whether little is left. */
	async #look(): Promise<boolean> {
		const { pool, records } = this.#host;
		const { freeBytes } = await pool.space();
		if (freeBytes >= 2 * NEAR_BYTES && this.#closed?.size === 0) return false;
		const ofHost = new Set(
			this.#host.drivers.filter(({ disk }) => disk === "mounted").map(({ isolation }) => isolation),
		);
		const mounted = (await records.list()).filter(({ isolation }) => ofHost.has(isolation));
		const unwritten = mounted.map(({ machineId }) => this.#unwrittenBytes(machineId));
		const coming = await Promise.all([pool.promisedBytes(), ...unwritten]);
		const leftBytes = coming.reduce((left, bytes) => left - bytes, freeBytes);
		const before = this.#closed;
		// With some distance between the two: what is on its way is counted twice for a moment.
		const isShort = leftBytes < (before === undefined || before.size === 0 ? FOR_JOURNALS_BYTES : KEPT_FREE_BYTES);
		const closed = new Set<string>();
		for (const record of mounted) {
			const isClosed = before?.has(record.machineId);
			const done = isClosed === isShort || (await this.#allow(record, !isShort));
			if (isShort && done) closed.add(record.machineId);
		}
		this.#closed = closed;
		if (closed.size > 0 !== (before ?? closed).size > 0)
			log.info(
				{ leftMiB: Math.round(leftBytes / 2 ** 20) },
				isShort ? "the pool is short: no disk grows" : "disks may grow",
			);
		return leftBytes < NEAR_BYTES && mounted.length > 0;
	}

	/** False where that could not be done now; the next look tries again. */
	async #allow(record: SandboxRecord, allowed: boolean): Promise<boolean> {
		const { disk } = mountsOf(this.#host, record.machineId);
		const image = this.#host.disks.image(record.id);
		return (await bestEffort(`let ${disk} grow or not`, allowAllocation(disk, image, allowed))) ?? false;
	}

	/** What its guest has written and the pool has not been asked for yet. */
	async #unwrittenBytes(machineId: string): Promise<number> {
		const usage = await bestEffort(`ask what ${machineId} has to write`, this.#host.cgroups.usage(machineId));
		return usage?.dirtyBytes ?? 0;
	}
}
