import { randomInt } from "node:crypto";
import { mkdir, open, readdir, readFile, unlink } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { DormiceError } from "@dormice/protocol";
import { command } from "../command.ts";
import { bestEffort, log } from "../log.ts";
import type { Native } from "../native.ts";
import { hostRules, SLOTS } from "./rules.ts";
import { createSlot, destroySlot, type Slot, slotOf } from "./slot.ts";

/** One file a slot, named by its number, holding the instance that owns it: shared by all platforms of this machine. */
const REGISTER = "/run/dormice/slots";

const FILL_AFTER_MS = 500;
/** For packets on their way: when connections were reset just now, and when whoever held them did so before. */
const SETTLE_MS = { reset: 25, quiet: 5 } as const;

export type SlotsOptions = { instance: string; slotNet: string; ready: number; serverGid: number; native: Native };

/** The platform's network slots: some ready-made, the rest in use. Each is used once, for `runsc` takes its addresses away. */
export class Slots {
	readonly #options: SlotsOptions;
	readonly #ready: Slot[] = [];
	#filling: Promise<void> | undefined;
	readonly #releasing = new Set<Promise<void>>();
	#timer: NodeJS.Timeout | undefined;
	#closed = false;
	#next = randomInt(SLOTS);

	private constructor(options: SlotsOptions) {
		this.#options = options;
	}

	/** `inUse`: numbers of the slots that living sandboxes hold. Every other slot of this platform is removed. */
	static async open(options: SlotsOptions, inUse: ReadonlySet<number>): Promise<Slots> {
		await mkdir(REGISTER, { recursive: true, mode: 0o700 });
		const slots = new Slots(options);
		for (const n of await slots.#owned()) if (!inUse.has(n)) await slots.release(n);
		await command("nft", ["-f", "-"], { input: hostRules(options.instance, options.serverGid) });
		slots.#fill();
		return slots;
	}

	/** A slot, ready-made if one is. */
	async claim(): Promise<Slot> {
		const slot = this.#ready.pop() ?? (await this.#make());
		this.#fillSoon();
		return slot;
	}

	find(n: number): Slot {
		return slotOf(this.#options.slotNet, n);
	}

	/**
	 * Resets every connection between the host and the slot's guest, so that the guest's programs see it at once: one that
	 * is stored open leaves Node spinning on a dead descriptor after a restore. Returns when the guest's kernel has had the
	 * time to read the resets.
	 */
	async cut(n: number): Promise<void> {
		try {
			const count = Number(await this.#options.native.call("cut", this.find(n).address));
			await sleep(count > 0 ? SETTLE_MS.reset : SETTLE_MS.quiet);
		} catch (error) {
			log.warn({ err: error, slot: n }, "could not reset connections");
		}
	}

	/** Gives a slot back without waiting: nothing of its sandbox is in it, and the next engine removes what this one did not. */
	discard(n: number): void {
		const released = bestEffort(`release slot ${n}`, this.release(n)).finally(() => this.#releasing.delete(released));
		this.#releasing.add(released);
	}

	/** Removes the slot and gives its number back. Nothing to do is fine. */
	async release(n: number): Promise<void> {
		await destroySlot(this.#options.instance, n);
		await unlink(join(REGISTER, String(n))).catch(ignoreMissing);
	}

	/** Removes the ready-made slots; those in use stay with their sandboxes. */
	async close(options: { last: boolean }): Promise<void> {
		this.#closed = true;
		clearTimeout(this.#timer);
		await Promise.all([this.#filling, ...this.#releasing]);
		for (const slot of this.#ready.splice(0)) await this.release(slot.n);
		if (options.last)
			await bestEffort(
				"remove the host's rules",
				command("nft", ["delete", "table", "inet", `dormice_${this.#options.instance}`]),
			);
	}

	/** Not while what claimed a slot still starts: making the next one takes as much of a core. */
	#fillSoon(): void {
		clearTimeout(this.#timer);
		if (!this.#closed) this.#timer = setTimeout(() => this.#fill(), FILL_AFTER_MS);
	}

	#fill(): void {
		this.#filling ??= this.#fillUp().finally(() => {
			this.#filling = undefined;
		});
	}

	async #fillUp(): Promise<void> {
		while (!this.#closed && this.#ready.length < this.#options.ready) {
			try {
				this.#ready.push(await this.#make());
			} catch (error) {
				log.error({ err: error }, "could not make a network slot ahead");
				return;
			}
		}
	}

	async #make(): Promise<Slot> {
		const n = await this.#take();
		try {
			return await createSlot(this.#options.slotNet, this.#options.instance, n);
		} catch (error) {
			await bestEffort(`remove half-made slot ${n}`, this.release(n));
			throw error;
		}
	}

	/**
	 * Takes the next free number: creating its file is what decides between platforms. Numbers go round, so that a
	 * connection somebody still holds to a sandbox that is gone never meets another one.
	 */
	async #take(): Promise<number> {
		const taken = new Set(await readdir(REGISTER));
		for (let tries = 0; tries < SLOTS; tries++) {
			const n = this.#next;
			this.#next = (this.#next + 1) % SLOTS;
			if (taken.has(String(n))) continue;
			try {
				await using file = await open(join(REGISTER, String(n)), "wx", 0o600);
				await file.writeFile(this.#options.instance);
				return n;
			} catch (error) {
				if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
			}
		}
		throw new DormiceError("capacity_unavailable", `All ${SLOTS} network slots of this machine are taken.`);
	}

	async #owned(): Promise<number[]> {
		const owned: number[] = [];
		for (const name of await readdir(REGISTER)) {
			const owner = await readFile(join(REGISTER, name), "utf8").catch(() => "");
			if (owner === this.#options.instance) owned.push(Number(name));
		}
		return owned;
	}
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
	if (error.code !== "ENOENT") throw error;
}
