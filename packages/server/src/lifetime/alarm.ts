/** The longest a timer can be set for. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** Rings at the earliest of the times it was set for. What else it was set for, whoever answers it finds out. */
export class Alarm implements Disposable {
	readonly #ring: () => void;
	#timer: NodeJS.Timeout | undefined;
	#atMs = Number.POSITIVE_INFINITY;

	constructor(ring: () => void) {
		this.#ring = ring;
	}

	setFor(at: Date): void {
		const atMs = at.getTime();
		if (atMs >= this.#atMs) return;
		clearTimeout(this.#timer);
		this.#atMs = atMs;
		const delayMs = Math.min(MAX_DELAY_MS, Math.max(0, atMs - Date.now()));
		this.#timer = setTimeout(() => {
			this.#atMs = Number.POSITIVE_INFINITY;
			this.#ring();
		}, delayMs);
	}

	[Symbol.dispose](): void {
		clearTimeout(this.#timer);
		this.#atMs = Number.NEGATIVE_INFINITY;
	}
}
