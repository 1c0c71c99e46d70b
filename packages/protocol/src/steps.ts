/** How long each step of a piece of work took, for a log: what a wake or a sleep spends its time on. */
export class Steps {
	readonly #what: Record<string, string>;
	readonly #beganAtMs = performance.now();
	readonly #ms: Record<string, number> = {};

	/** `what` names the work, `verb`, and what it is done to. */
	constructor(what: { verb: string } & Record<string, string>) {
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

	/** Logs the steps of work that succeeded. */
	done(log: { info(fields: object, message: string): void }): void {
		log.info({ ...this.#what, totalMs: round(performance.now() - this.#beganAtMs), stepsMs: this.#ms }, "steps");
	}
}

function round(ms: number): number {
	return Math.round(ms * 10) / 10;
}
