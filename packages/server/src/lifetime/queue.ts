import { DormiceError } from "@dormice/protocol";

interface Waiter {
	start: () => void;
	leave: (why: unknown) => void;
}

/** How much the last piece of work counts in what one is expected to take. */
const NEWEST_COUNTS = 0.2;
const RETRY_SECONDS = { least: 1, most: 60 } as const;

/** Lets `size` pieces of work run at once; the others wait in order, as long as the queue moves at least every `waitMs`. */
export class Queue {
	readonly #size: number;
	readonly #waitMs: number;
	readonly #waiting: Waiter[] = [];
	#running = 0;
	/** What a piece of work takes, lately. */
	#lastsMs = 500;
	/** `performance.now()` when a place was last given back. */
	#movedAtMs = 0;

	constructor(size: number, waitMs: number) {
		this.#size = size;
		this.#waitMs = waitMs;
	}

	/**
	 * Runs `work` when a place is free. Throws `capacity_unavailable`, with when to try again, if the queue stood still for
	 * too long, and the signal's reason if that fired while it waited.
	 */
	async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
		if (this.#running < this.#size) this.#running++;
		else await this.#place(signal);
		const beganAtMs = performance.now();
		try {
			return await work();
		} finally {
			this.#lastsMs += NEWEST_COUNTS * (performance.now() - beganAtMs - this.#lastsMs);
			this.#movedAtMs = performance.now();
			const next = this.#waiting.shift();
			// The place goes from hand to hand; the count changes only when nobody waits.
			if (next === undefined) this.#running--;
			else next.start();
		}
	}

	async #place(signal: AbortSignal | undefined): Promise<void> {
		signal?.throwIfAborted();
		const { promise, resolve, reject } = Promise.withResolvers<void>();
		const waiter: Waiter = {
			start: resolve,
			leave: (why) => {
				this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
				reject(why);
			},
		};
		this.#waiting.push(waiter);
		const joinedAtMs = performance.now();
		const look = () => {
			const stoodMs = performance.now() - Math.max(joinedAtMs, this.#movedAtMs);
			if (stoodMs >= this.#waitMs) waiter.leave(this.#full());
			else expiry = setTimeout(look, this.#waitMs - stoodMs);
		};
		let expiry = setTimeout(look, this.#waitMs);
		const abort = () => waiter.leave(signal?.reason);
		signal?.addEventListener("abort", abort, { once: true });
		try {
			await promise;
		} finally {
			clearTimeout(expiry);
			signal?.removeEventListener("abort", abort);
		}
	}

	#full(): DormiceError {
		const seconds = Math.ceil(((this.#waiting.length / this.#size) * this.#lastsMs) / 1000);
		const retryAfterSeconds = Math.min(RETRY_SECONDS.most, Math.max(RETRY_SECONDS.least, seconds));
		const message =
			`This host starts ${this.#size} sandboxes at a time, and no place came free within ` +
			`${this.#waitMs / 1000} s: try again in ${retryAfterSeconds} s.`;
		return new DormiceError("capacity_unavailable", message, { retryAfterSeconds });
	}
}
