import type { Logger } from "../log.ts";

/**
 * Work that is done again and again: every `periodMs`, and soon after a poke. One turn at a time.
 * A turn takes no input; it reads the world and moves it one step, so a lost poke or a failed turn costs a period.
 */
export class Loop implements AsyncDisposable {
	readonly #name: string;
	readonly #periodMs: number;
	readonly #turn: () => Promise<void>;
	readonly #log: Logger;
	#timer: NodeJS.Timeout | undefined;
	#running: Promise<void> | undefined;
	#again = false;
	#closed = false;

	constructor(name: string, periodMs: number, log: Logger, turn: () => Promise<void>) {
		this.#name = name;
		this.#periodMs = periodMs;
		this.#log = log;
		this.#turn = turn;
	}

	/** Asks for a turn now; during a turn, for another one after it. */
	poke(): void {
		if (this.#closed) return;
		if (this.#running !== undefined) {
			this.#again = true;
			return;
		}
		clearTimeout(this.#timer);
		this.#running = this.#run();
	}

	async #run(): Promise<void> {
		try {
			await this.#turn();
		} catch (error) {
			this.#log.warn({ err: error }, `${this.#name}: this turn failed; the next one is in ${this.#periodMs} ms`);
		}
		this.#running = undefined;
		if (this.#closed) return;
		if (this.#again) {
			this.#again = false;
			this.poke();
		} else {
			this.#timer = setTimeout(() => this.poke(), this.#periodMs);
		}
	}

	/** No further turn; waits for the one that runs. */
	async [Symbol.asyncDispose](): Promise<void> {
		this.#closed = true;
		clearTimeout(this.#timer);
		await this.#running;
	}
}
