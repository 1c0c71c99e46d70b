import { Worker } from "node:worker_threads";
import { DormiceError } from "@dormice/protocol";
import type { FileSum, Hints } from "./sums.ts";

type Answer = { number: number; sums?: FileSum[]; error?: string };

/** Computes checksums in a thread of its own, so that the engine goes on answering; the thread waits for the first of them. */
export class Summing {
	readonly #waiting = new Map<number, PromiseWithResolvers<FileSum[]>>();
	#worker: Worker | undefined;
	#number = 0;

	/** Of the files in `dir`. Throws `generation_corrupt` when they cannot be read. */
	of(dir: string, hints: Hints = {}): Promise<FileSum[]> {
		const number = this.#number++;
		const waiting = Promise.withResolvers<FileSum[]>();
		this.#waiting.set(number, waiting);
		const worker = this.#working();
		// Nobody's end waits for an idle thread.
		worker.ref();
		worker.postMessage({ number, dir, hints });
		return waiting.promise;
	}

	#working(): Worker {
		if (this.#worker) return this.#worker;
		const worker = new Worker(new URL("sum-worker.ts", import.meta.url));
		this.#worker = worker;
		worker.on("message", ({ number, sums, error }: Answer) => {
			const waiting = this.#waiting.get(number);
			this.#waiting.delete(number);
			if (this.#waiting.size === 0) worker.unref();
			if (sums) waiting?.resolve(sums);
			else waiting?.reject(new DormiceError("generation_corrupt", `A memory image cannot be read: ${error}.`));
		});
		worker.on("error", (error) => this.#lost(error));
		worker.on("exit", () => this.#lost(new Error("it ended")));
		return worker;
	}

	#lost(cause: Error): void {
		this.#worker = undefined;
		for (const { reject } of this.#waiting.values())
			reject(new DormiceError("internal", "The thread that computes checksums was lost.", { cause }));
		this.#waiting.clear();
	}
}
