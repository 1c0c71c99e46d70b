import { existsSync } from "node:fs";
import { DormiceError } from "@dormice/protocol";
import type { Config } from "../config.ts";
import { type Progress, step } from "../progress.ts";
import { Keeper, runningKeeper } from "./keeper.ts";
import type { PlatformPaths } from "./paths.ts";
import { sendSignal, waitForEnd } from "./process.ts";
import { recordPath } from "./service.ts";
import { platformServices } from "./services.ts";

/** Longer than all services' own deadlines together. */
const DEADLINE_MS = 120_000;

/** Stops the platform; answers `false` when it was not up. */
export async function takeDown(paths: PlatformPaths, config: Config, progress: Progress): Promise<boolean> {
	const keeper = runningKeeper(paths);
	if (keeper) {
		await step(progress, "Stop the platform", async () => {
			sendSignal(keeper, "SIGTERM");
			if (await waitForEnd(keeper, DEADLINE_MS)) return;
			throw new DormiceError(
				"deadline_exceeded",
				`The keeper (process ${keeper.pid}) does not end; read ${paths.logs}`,
			);
		});
		return true;
	}
	return clearLeftovers(paths, config, progress);
}

/** The keeper was killed: becomes the keeper of what it left behind, to stop it in order. */
async function clearLeftovers(paths: PlatformPaths, config: Config, progress: Progress): Promise<boolean> {
	if (!existsSync(paths.settings)) return false;
	const services = platformServices(paths, config);
	if (!services.some(({ name }) => existsSync(recordPath(paths, name)))) return false;
	const heir = await Keeper.tryOpen(paths, services, (text) => progress({ kind: "line", text }));
	if (!heir) throw new DormiceError("state_conflict", "Dormice is just being started; run this again in a moment");
	await step(progress, "Stop what is left of the platform", () => heir.stop());
	return true;
}
