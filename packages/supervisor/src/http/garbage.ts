import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

const WORTH_BYTES = 4 << 20;
const QUIET_MS = 300;

/**
 * Collects the supervisor's garbage once traffic has ended: every sleep stores what is resident, and V8 by itself sees no
 * reason to clear away what a large file left behind.
 */
export class GarbageCollection {
	readonly #counted = new WeakMap<Socket, number>();
	#bytes = 0;
	#timer: NodeJS.Timeout | undefined;

	/** To be called with each request. */
	watch({ socket }: IncomingMessage, response: ServerResponse): void {
		response.once("close", () => {
			const passed = socket.bytesRead + socket.bytesWritten;
			this.#bytes += passed - (this.#counted.get(socket) ?? 0);
			this.#counted.set(socket, passed);
			clearTimeout(this.#timer);
			// Only after much traffic: a timer wakes a sandbox that has nothing to do.
			if (this.#bytes >= WORTH_BYTES) this.#timer = setTimeout(() => this.#collect(), QUIET_MS).unref();
		});
	}

	#collect(): void {
		this.#bytes = 0;
		// Only there with --expose-gc, which the spawner starts the supervisor with.
		globalThis.gc?.();
	}
}
