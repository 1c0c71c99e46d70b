import { existsSync } from "node:fs";
import { join } from "node:path";
import { DormiceError } from "@dormice/protocol";
import { type Progress, step } from "../progress.ts";
import { Lock } from "./lock.ts";
import type { PlatformPaths } from "./paths.ts";
import { identify, type ProcessIdentity } from "./process.ts";
import { readRecord, removeRecord, writeRecord } from "./record.ts";
import { logPath, recordPath, type Service } from "./service.ts";
import { Supervised } from "./supervised.ts";

/** The first start of the server makes the base template's generation: a boot and a checkpoint. */
const READY_DEADLINE_MS = 180_000;
/** How long an engine that is only started to clean up may take. */
const CLEANUP_DEADLINE_MS = 30_000;

/** The keeper that keeps this platform now. */
export function runningKeeper(paths: PlatformPaths): ProcessIdentity | undefined {
	return readRecord(recordPath(paths, "keeper"));
}

/**
 * Keeps the platform's processes: starts them in order, starts again what ends, stops them in reverse order.
 * There is one keeper to a data directory. Its processes outlive it when it is killed, and the next adopts them.
 */
export class Keeper implements AsyncDisposable {
	readonly #paths: PlatformPaths;
	readonly #services: readonly Supervised[];
	readonly #lock: Lock;
	readonly #aborted = new AbortController();
	#stopped: Promise<void> | undefined;

	private constructor(paths: PlatformPaths, services: readonly Supervised[], lock: Lock) {
		this.#paths = paths;
		this.#services = services;
		this.#lock = lock;
	}

	/** Becomes the keeper; `undefined` when there is one. Starts nothing yet. */
	static async tryOpen(
		paths: PlatformPaths,
		services: readonly Service[],
		onChange: (line: string) => void,
	): Promise<Keeper | undefined> {
		const lock = await Lock.tryAcquire(join(paths.run, "keeper.lock"));
		if (!lock) return undefined;
		const self = identify(process.pid);
		if (self) writeRecord(recordPath(paths, "keeper"), self);
		const supervised = services.map(
			(service) =>
				new Supervised(service, {
					record: recordPath(paths, service.name),
					log: logPath(paths, service.name),
					onChange,
				}),
		);
		return new Keeper(paths, supervised, lock);
	}

	/** Brings the services up: at once those that need nothing first, the others in order. Answers when all can be used. */
	async start(progress: Progress): Promise<void> {
		const { signal } = this.#aborted;
		for (const supervised of this.#services) {
			if (!supervised.service.beforeStart) supervised.start();
		}
		for (const supervised of this.#services) {
			const { title, beforeStart } = supervised.service;
			await beforeStart?.(progress, signal);
			await step(progress, title, async (line) => {
				supervised.start();
				await supervised.ready(READY_DEADLINE_MS, line);
			});
			signal.throwIfAborted();
		}
	}

	/** Stops everything, last started first. Goes on past what fails, and then says what did. */
	stop(): Promise<void> {
		this.#stopped ??= this.#stop();
		return this.#stopped;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.stop();
	}

	async #stop(): Promise<void> {
		this.#aborted.abort();
		const failures: unknown[] = [];
		for (const supervised of this.#services.toReversed()) {
			try {
				await this.#release(supervised);
			} catch (error) {
				failures.push(error);
			}
			await supervised.stop();
		}
		removeRecord(recordPath(this.#paths, "keeper"));
		await this.#lock[Symbol.asyncDispose]();
		if (failures.length > 0) {
			const reasons = failures.map((failure) => (failure instanceof Error ? failure.message : String(failure)));
			throw new DormiceError("internal", `The platform is down, but not tidily: ${reasons.join("; ")}`, {
				cause: failures[0],
			});
		}
	}

	/** Lets a service give back what it holds. One that died first is started once more for that. */
	async #release(supervised: Supervised): Promise<void> {
		const { name, beforeStop } = supervised.service;
		if (!beforeStop || !existsSync(recordPath(this.#paths, name))) return;
		supervised.start();
		await supervised.ready(CLEANUP_DEADLINE_MS, () => undefined);
		await beforeStop();
	}
}
