import { parentPort } from "node:worker_threads";
import { type Known, sumFiles } from "./sums.ts";

// The thread of `summing.ts`: reads directories of memory images, one after the other.
parentPort?.on("message", ({ number, dir, known }: { number: number; dir: string; known: Known }) => {
	try {
		parentPort?.postMessage({ number, sums: sumFiles(dir, known) });
	} catch (error) {
		parentPort?.postMessage({ number, error: error instanceof Error ? error.message : String(error) });
	}
});
