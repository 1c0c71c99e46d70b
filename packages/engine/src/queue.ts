/** Runs work on the same id one after the other; work on different ids runs side by side. */
export class Queue {
	readonly #tails = new Map<string, Promise<unknown>>();

	run<T>(id: string, work: () => Promise<T>): Promise<T> {
		const before = this.#tails.get(id) ?? Promise.resolve();
		const mine = before.then(work, work);
		this.#tails.set(id, mine);
		const forget = () => {
			if (this.#tails.get(id) === mine) this.#tails.delete(id);
		};
		mine.then(forget, forget);
		return mine;
	}

	/** Resolves when everything that was begun has ended. */
	async idle(): Promise<void> {
		await Promise.allSettled(this.#tails.values());
	}
}
