import { parentPort } from "node:worker_threads";
import { type Holes, sumFiles } from "./sums.ts";

// The thread of `summing.ts`: reads directories of memory images, one after the other.
parentPort?.on("message", ({ number, dir, holes }: { number: number; dir: string; holes: Holes }) => {
	try {
		parentPort?.postMessage({ number, sums: sumFiles(dir, holes) });
	} catch (error) {
		parentPort?.postMessage({ number, error: error instanceof Error ? error.message : String(error) });
	}
});
