import { existsSync } from "node:fs";
import { runningKeeper } from "./keeper.ts";
import type { PlatformPaths } from "./paths.ts";
import { readRecord } from "./record.ts";
import { health } from "./server.ts";
import { recordPath } from "./service.ts";
import { platformUrl, readSettings } from "./settings.ts";

export interface PlatformStatus {
	/** Whether the directory is a platform's at all. */
	setUp: boolean;
	/** Whether the API says that sandboxes can be made. */
	running: boolean;
	/** `ready`, or what is missing. */
	health: string;
	url: string;
	data: string;
	/** Those that are alive. */
	processes: Partial<Record<"keeper" | "server" | "engine" | "postgres", { pid: number }>>;
}

export async function platformStatus(paths: PlatformPaths): Promise<PlatformStatus> {
	const url = platformUrl(readSettings(paths.settings));
	const processes: PlatformStatus["processes"] = {};
	for (const name of ["keeper", "server", "engine", "postgres"] as const) {
		const process = name === "keeper" ? runningKeeper(paths) : readRecord(recordPath(paths, name));
		if (process) processes[name] = { pid: process.pid };
	}
	// Without a server of ours, whatever answers at that address is not this platform.
	const state = processes.server ? await health(url) : "down";
	return {
		setUp: existsSync(paths.settings),
		running: state === "ready",
		health: state,
		url,
		data: paths.data,
		processes,
	};
}
