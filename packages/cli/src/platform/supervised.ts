import { spawn } from "node:child_process";
import { closeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { DormiceError } from "@dormice/protocol";
import { boundLog, openLog } from "./log-file.ts";
import { identify, isAlive, type ProcessIdentity, stopProcess } from "./process.ts";
import { readRecord, removeRecord, writeRecord } from "./record.ts";
import type { Service } from "./service.ts";

const FIRST_BACKOFF_MS = 100;
const LONGEST_BACKOFF_MS = 10_000;
/** A process that lived this long is not failing over and over. */
const STABLE_MS = 10_000;
/** How often an adopted process (not our child, so nobody tells us) and the length of the log are looked at. */
const LOOK_MS = 250;

export interface SupervisedOptions {
	record: string;
	log: string;
	/** Hears of every start and end. */
	onChange: (line: string) => void;
}

/**
 * One service, kept alive until `stop()`: adopted when it already runs, started when not, and started again
 * with growing pauses when it ends by itself.
 */
export class Supervised {
	readonly service: Service;
	readonly #options: SupervisedOptions;
	readonly #stopping = new AbortController();
	#process: ProcessIdentity | undefined;
	#running: Promise<void> | undefined;
	#failures = 0;

	constructor(service: Service, options: SupervisedOptions) {
		this.service = service;
		this.#options = options;
	}

	/** Whether a process of an earlier keeper is still there. */
	get isLeftOver(): boolean {
		return readRecord(this.#options.record) !== undefined;
	}

	start(): void {
		this.#running ??= this.#keepAlive();
	}

	/**
	 * Answers when the service can be used; `onWait` hears what it waits for.
	 * Throws when it keeps failing, with where to read why.
	 */
	async ready(deadlineMs: number, onWait: (missing: string) => void): Promise<void> {
		const { name } = this.service;
		const deadline = performance.now() + deadlineMs;
		let last = "starting";
		for (let pauseMs = 5; ; pauseMs = Math.min(pauseMs * 1.5, 100)) {
			const missing = await this.service.readiness();
			if (missing === "ready") return;
			if (missing !== last) onWait(missing);
			last = missing;
			if (this.#failures >= 5) {
				throw new DormiceError("command_failed", `The ${name} ends again and again; read ${this.#options.log}`);
			}
			if (performance.now() > deadline) {
				const seconds = Math.round(deadlineMs / 1000);
				const text = `The ${name} is not ready after ${seconds} s (${missing}); read ${this.#options.log}`;
				throw new DormiceError("deadline_exceeded", text);
			}
			await sleep(pauseMs, undefined, { signal: this.#stopping.signal });
		}
	}

	/** Ends the service, whether this keeper started it or an earlier one did. */
	async stop(): Promise<void> {
		this.#stopping.abort();
		const target = this.#process ?? readRecord(this.#options.record);
		if (target) {
			const { name, stopSignal, stopGraceMs } = this.service;
			const went = await stopProcess(target, { signal: stopSignal, graceMs: stopGraceMs });
			this.#options.onChange(went ? `${name} stopped` : `${name} did not stop within ${stopGraceMs} ms and was killed`);
		}
		await this.#running;
		removeRecord(this.#options.record);
	}

	async #keepAlive(): Promise<void> {
		let backoffMs = FIRST_BACKOFF_MS;
		while (!this.#stopping.signal.aborted) {
			const startedAt = performance.now();
			await this.#runOnce();
			if (this.#stopping.signal.aborted) return;
			const stable = performance.now() - startedAt > STABLE_MS;
			backoffMs = stable ? FIRST_BACKOFF_MS : Math.min(backoffMs * 2, LONGEST_BACKOFF_MS);
			this.#failures = stable ? 1 : this.#failures + 1;
			await sleep(backoffMs, undefined, { signal: this.#stopping.signal }).catch(ignoreAbort);
		}
	}

	/** From adoption or start to the end of one process. */
	async #runOnce(): Promise<void> {
		const { name } = this.service;
		const adopted = readRecord(this.#options.record);
		let ended: Promise<string>;
		if (adopted) {
			this.#process = adopted;
			this.#options.onChange(`${name} adopted (process ${adopted.pid})`);
			ended = untilGone(adopted);
		} else {
			ended = this.#spawn();
		}
		const logs = setInterval(() => boundLog(this.#options.log), LOOK_MS * 20);
		try {
			const how = await ended;
			if (!this.#stopping.signal.aborted) this.#options.onChange(`${name} ended (${how}); starting it again`);
		} finally {
			clearInterval(logs);
			this.#process = undefined;
		}
	}

	#spawn(): Promise<string> {
		const { name, command, env } = this.service;
		const [program, ...args] = command;
		if (program === undefined) throw new DormiceError("internal", `${name} has no command`);
		const log = openLog(this.#options.log);
		try {
			// A session of its own: Ctrl-C and the end of the terminal are the keeper's to handle, in its order.
			const child = spawn(program, args, { env, detached: true, stdio: ["ignore", log, log], cwd: "/" });
			const ended = new Promise<string>((resolve) => {
				child.once("error", (error) => resolve(error.message));
				child.once("exit", (code, signal) => resolve(signal ?? `exit code ${code}`));
			});
			const identity = child.pid === undefined ? undefined : identify(child.pid);
			if (identity) {
				this.#process = identity;
				writeRecord(this.#options.record, identity);
				this.#options.onChange(`${name} started (process ${identity.pid})`);
			}
			return ended;
		} finally {
			closeSync(log);
		}
	}
}

async function untilGone(process: ProcessIdentity): Promise<string> {
	while (isAlive(process)) await sleep(LOOK_MS);
	return "gone";
}

function ignoreAbort(error: Error): void {
	if (error.name !== "AbortError") throw error;
}
