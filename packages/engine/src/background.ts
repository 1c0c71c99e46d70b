import { log } from "./log.ts";

/** Work that nobody waits for; the engine does before it ends. */
export class Background {
	readonly #running = new Set<Promise<void>>();

	/** `what` is said when it fails. */
	run(what: string, work: () => Promise<void>): void {
		const running = work()
			.catch((error: unknown) => log.error({ err: error }, `could not ${what}`))
			.finally(() => this.#running.delete(running));
		this.#running.add(running);
	}

	async idle(): Promise<void> {
		while (this.#running.size > 0) await Promise.all(this.#running);
	}
}
