import { existsSync } from "node:fs";
import type { Config } from "../config.ts";
import type { Progress } from "../progress.ts";
import type { SetupWishes } from "../setup/setup.ts";
import { takeDown } from "./down.ts";
import { runningKeeper } from "./keeper.ts";
import type { PlatformPaths } from "./paths.ts";
import { keepInBackground, prepare, startLock, waitUntilHealthy } from "./up.ts";

/** Has the platform up while `work` runs; one that was down before is down again afterwards. */
export async function withPlatform<T>(
	paths: PlatformPaths,
	config: Config,
	progress: Progress,
	work: () => Promise<T>,
	wishes: SetupWishes = {},
): Promise<T> {
	const keeper = runningKeeper(paths);
	if (keeper) {
		await waitUntilHealthy(paths, keeper);
		return work();
	}
	try {
		{
			await using _lock = await startLock(paths, progress);
			// A platform of its own must not take the port of another: a new one gets a free one.
			await prepare(paths, config, existsSync(paths.settings) ? {} : { port: 0 }, progress, wishes);
			await keepInBackground(paths, progress);
		}
		return await work();
	} finally {
		await takeDown(paths, config, progress);
	}
}
