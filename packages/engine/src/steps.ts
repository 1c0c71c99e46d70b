import { log } from "./log.ts";

/** How long each step of a verb took, for the log: what a wake or a sleep spends its time on. */
export class Steps {
	readonly #what: Record<string, string>;
	readonly #beganAtMs = performance.now();
	readonly #ms: Record<string, number> = {};

	/** `what` names the verb and what it works on. */
	constructor(what: Record<string, string>) {
		this.#what = what;
	}

	/** Does the work and remembers its time; steps may overlap. */
	async time<T>(name: string, work: Promise<T>): Promise<T> {
		const beganAtMs = performance.now();
		try {
			return await work;
		} finally {
			this.#ms[name] = round(performance.now() - beganAtMs);
		}
	}

	/** Logs the steps of a verb that succeeded. */
	done(): void {
		log.info({ ...this.#what, totalMs: round(performance.now() - this.#beganAtMs), stepsMs: this.#ms }, "steps");
	}
}

function round(ms: number): number {
	return Math.round(ms * 10) / 10;
}
