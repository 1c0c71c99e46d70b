import { parentPort } from "node:worker_threads";
import { type Hints, sumFiles } from "./sums.ts";

// The thread of `summing.ts`: reads directories of memory images, one after the other.
parentPort?.on("message", ({ number, dir, hints }: { number: number; dir: string; hints: Hints }) => {
	try {
		parentPort?.postMessage({ number, sums: sumFiles(dir, hints) });
	} catch (error) {
		parentPort?.postMessage({ number, error: error instanceof Error ? error.message : String(error) });
	}
});
