const RETRY_MS = { first: 50, most: 2_000, until: 60_000 } as const;

/** How long to wait before each new try, and whether it has been long enough. */
export class Patience {
	#pauseMs: number = RETRY_MS.first;
	#endsAtMs = performance.now() + RETRY_MS.until;

	get isOver(): boolean {
		return performance.now() > this.#endsAtMs;
	}

	begin(): void {
		this.#pauseMs = RETRY_MS.first;
		this.#endsAtMs = performance.now() + RETRY_MS.until;
	}

	next(): number {
		const pauseMs = this.#pauseMs;
		this.#pauseMs = Math.min(pauseMs * 2, RETRY_MS.most);
		return pauseMs;
	}
}

/** Throws the signal's reason when that fires. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
	await new Promise<void>((resolve) => {
		const done = () => {
			clearTimeout(timer);
			signal?.removeEventListener("abort", done);
			resolve();
		};
		const timer = setTimeout(done, ms);
		signal?.addEventListener("abort", done);
		if (signal?.aborted) done();
	});
	signal?.throwIfAborted();
}
