import { DormiceError } from "@dormice/protocol";

interface Waiter {
	start: () => void;
	expiry: NodeJS.Timeout;
}

/** Lets `size` pieces of work run at once; the others wait in order, each at most `waitMs`. */
export class Queue {
	readonly #size: number;
	readonly #waitMs: number;
	readonly #waiting: Waiter[] = [];
	#running = 0;

	constructor(size: number, waitMs: number) {
		this.#size = size;
		this.#waitMs = waitMs;
	}

	/** Runs `work` when a place is free. Throws `capacity_unavailable` when none came free in time. */
	async run<T>(work: () => Promise<T>): Promise<T> {
		if (this.#running < this.#size) this.#running++;
		else await this.#place();
		try {
			return await work();
		} finally {
			const next = this.#waiting.shift();
			// The place goes from hand to hand; the count changes only when nobody waits.
			if (next === undefined) this.#running--;
			else next.start();
		}
	}

	#place(): Promise<void> {
		return new Promise((resolve, reject) => {
			const waiter: Waiter = {
				start: () => {
					clearTimeout(waiter.expiry);
					resolve();
				},
				expiry: setTimeout(() => {
					this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
					reject(
						new DormiceError(
							"capacity_unavailable",
							`This host starts ${this.#size} sandboxes at a time and the queue is full: try again in a moment.`,
						),
					);
				}, this.#waitMs),
			};
			this.#waiting.push(waiter);
		});
	}
}
