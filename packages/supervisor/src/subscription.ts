/** What `take` found: an item, nothing for that long, or the end. */
export type Taken<T> = { item: T } | "idle" | "end";

/**
 * A queue with one reader. It never refuses an item; `full` asks the writer to slow down, and `onRoom` tells when the
 * reader has caught up.
 */
export class Subscription<T> {
	readonly #items: { item: T; weight: number }[] = [];
	readonly #limit: number;
	readonly #onRoom: () => void;
	#weight = 0;
	#ended = false;
	#wake: (() => void) | undefined;

	constructor(limit: number, onRoom: () => void = () => undefined) {
		this.#limit = limit;
		this.#onRoom = onRoom;
	}

	get full(): boolean {
		return this.#weight >= this.#limit;
	}

	push(item: T, weight = 1): void {
		if (this.#ended) return;
		this.#items.push({ item, weight });
		this.#weight += weight;
		this.#wake?.();
	}

	/** No more items will come; those queued are still taken. */
	end(): void {
		this.#ended = true;
		this.#wake?.();
	}

	/** The next item, waiting for it at most `idleMs`. Throws the signal's reason when that fires. */
	async take(idleMs: number, signal: AbortSignal): Promise<Taken<T>> {
		if (!this.#items.length && !this.#ended && !signal.aborted) await this.#wait(idleMs, signal);
		signal.throwIfAborted();
		const next = this.#items.shift();
		if (next === undefined) return this.#ended ? "end" : "idle";
		const wasFull = this.full;
		this.#weight -= next.weight;
		if (wasFull && !this.full) this.#onRoom();
		return { item: next.item };
	}

	/** Everything queued, at once. */
	drain(): T[] {
		const wasFull = this.full;
		this.#weight = 0;
		const items = this.#items.splice(0).map(({ item }) => item);
		if (wasFull) this.#onRoom();
		return items;
	}

	#wait(idleMs: number, signal: AbortSignal): Promise<void> {
		return new Promise((resolve) => {
			const done = () => {
				clearTimeout(timer);
				signal.removeEventListener("abort", done);
				this.#wake = undefined;
				resolve();
			};
			const timer = setTimeout(done, idleMs);
			signal.addEventListener("abort", done);
			this.#wake = done;
		});
	}
}
