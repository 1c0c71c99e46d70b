/** Random numbers that come again with their seed (mulberry32): a failed run can be repeated. */
export class Random {
	#state: number;

	constructor(seed: number) {
		this.#state = seed >>> 0;
	}

	/** In [0, 1). */
	next(): number {
		this.#state = (this.#state + 0x6d2b79f5) >>> 0;
		let t = this.#state;
		t = Math.imul(t ^ (t >>> 15), t | 1);
		t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
		return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
	}

	/** A whole number, both ends included. */
	between(low: number, high: number): number {
		return low + Math.floor(this.next() * (high - low + 1));
	}

	pick<T>(items: readonly T[]): T {
		if (items.length === 0) throw new RangeError("nothing to pick from");
		return items[this.between(0, items.length - 1)] as T;
	}

	/** One of the rows, more often the more it weighs. */
	weighted<T extends { weight: number }>(rows: readonly T[]): T {
		let at = this.next() * rows.reduce((sum, row) => sum + row.weight, 0);
		for (const row of rows) {
			at -= row.weight;
			if (at < 0) return row;
		}
		return this.pick(rows);
	}
}
