import { parentPort } from "node:worker_threads";
import { sumFiles } from "./sums.ts";

// The thread of `summing.ts`: reads directories of memory images, one after the other.
parentPort?.on("message", ({ number, dir }: { number: number; dir: string }) => {
	try {
		parentPort?.postMessage({ number, sums: sumFiles(dir) });
	} catch (error) {
		parentPort?.postMessage({ number, error: error instanceof Error ? error.message : String(error) });
	}
});
