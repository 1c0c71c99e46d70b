const FIRST_MS = 1_000;
const MOST_MS = 60_000;

/** When to try again what keeps failing: each further time after twice as long, a minute at most. */
export class Backoff {
	#failures = 0;
	#notBeforeMs = 0;

	/** How often it has failed since it last worked. */
	get failures(): number {
		return this.#failures;
	}

	get isDue(): boolean {
		return this.waitMs === 0;
	}

	/** For how long not to try. */
	get waitMs(): number {
		return Math.max(0, this.#notBeforeMs - Date.now());
	}

	failed(): void {
		this.#notBeforeMs = Date.now() + Math.min(MOST_MS, FIRST_MS * 2 ** this.#failures);
		this.#failures++;
	}

	worked(): void {
		this.#failures = 0;
		this.#notBeforeMs = 0;
	}
}
