import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { DormiceError } from "@dormice/protocol";
import type { Config } from "../config.ts";
import { inheritedEnvironment } from "../config.ts";
import type { Progress, ProgressEvent } from "../progress.ts";
import { type SetupWishes, setUp } from "../setup/setup.ts";
import { Keeper } from "./keeper.ts";
import { Lock } from "./lock.ts";
import { boundLog, openLog } from "./log-file.ts";
import { NODE, type PlatformPaths, REPOSITORY } from "./paths.ts";
import { claimPort } from "./port.ts";
import { isAlive, type ProcessIdentity } from "./process.ts";
import { readRecord } from "./record.ts";
import { health } from "./server.ts";
import { logPath, recordPath } from "./service.ts";
import { platformServices } from "./services.ts";
import {
	platformUrl,
	readSettings,
	readVariables,
	type Settings,
	type Variables,
	writeSettings,
	writeVariables,
} from "./settings.ts";
import { changedVariables, checkVariables } from "./variables.ts";

/** What a caller may choose of a platform; what it does not is as recorded. */
export interface Choices {
	port?: number;
	listen?: string;
	domain?: string;
}

const HEALTHY_DEADLINE_MS = 300_000;

/** Held from the first look at a platform until it is ready or given up: one start at a time. */
export function startLock(paths: PlatformPaths, progress: Progress): Promise<Lock> {
	return Lock.acquire(`${paths.run}/start.lock`, (holder) => {
		progress({ kind: "line", text: `waiting for the start that ${holder} is doing` });
	});
}

/** Checks what was said, sets up what is missing and records the choices. Answers the settings to start with. */
export async function prepare(
	paths: PlatformPaths,
	config: Config,
	choices: Choices,
	progress: Progress,
	wishes: SetupWishes = {},
): Promise<Settings> {
	const recorded = readSettings(paths.settings);
	const variables = readVariables(paths.variables, config.passedOn);
	await checkVariables(paths, variables);
	const wanted: Settings = { ...recorded, ...choices };
	// A server that an earlier keeper left behind will be adopted; the port is taken by it.
	const claims = !readRecord(recordPath(paths, "server"));
	// Before minutes of building, and again after them.
	if (claims && wanted.port !== 0) await claimPort(wanted.port, wanted.listen, config.path);
	await setUp({ paths, path: config.path, variables, progress, ...wishes });
	if (claims) wanted.port = await claimPort(wanted.port, wanted.listen, config.path);
	if (JSON.stringify(wanted) !== JSON.stringify(recorded) || !existsSync(paths.settings)) {
		writeSettings(paths.settings, wanted);
	}
	if (Object.keys(variables).length > 0) writeVariables(paths.variables, variables);
	return wanted;
}

/**
 * Is the platform's keeper until `signal` aborts. `onReady` is called when sandboxes can be made.
 * Answers `false` at once when there is another keeper.
 */
export async function keep(
	paths: PlatformPaths,
	config: Config,
	{ progress, onReady, signal }: { progress: Progress; onReady: () => void | Promise<void>; signal: AbortSignal },
): Promise<boolean> {
	const services = platformServices(paths, config);
	const keeper = await Keeper.tryOpen(paths, services, (line) => progress({ kind: "line", text: line }));
	if (!keeper) return false;
	await using _keeper = keeper;
	const stop = (): void => void keeper.stop().catch(() => undefined);
	signal.addEventListener("abort", stop, { once: true });
	try {
		await keeper.start(progress);
		await onReady();
		if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
	} catch (error) {
		if (!signal.aborted) throw error;
	}
	return true;
}

/** Starts a keeper in the background; answers when it is ready, relaying what it does until then. */
export async function keepInBackground(paths: PlatformPaths, progress: Progress): Promise<void> {
	boundLog(logPath(paths, "keeper"));
	const log = openLog(logPath(paths, "keeper"));
	const child = spawn(NODE, [`${REPOSITORY}/packages/cli/src/main.ts`, "keep", "--data", paths.data], {
		detached: true,
		stdio: ["ignore", log, log, "ipc"],
		cwd: "/",
		env: inheritedEnvironment(),
	});
	await new Promise<void>((resolve, reject) => {
		child.on("message", (message: KeeperMessage) => {
			if (message.kind === "ready") resolve();
			else if (message.kind === "failed") reject(new DormiceError("internal", message.text));
			else progress(message);
		});
		child.once("error", reject);
		child.once("exit", (code, signal) => {
			reject(
				new DormiceError(
					"internal",
					`The keeper ended (${signal ?? `exit code ${code}`}); read ${logPath(paths, "keeper")}`,
				),
			);
		});
	});
	child.disconnect();
	child.unref();
}

/** What a background keeper tells the command that started it. */
export type KeeperMessage = ProgressEvent | { kind: "ready" } | { kind: "failed"; text: string };

/** Waits until a platform that somebody else keeps answers. */
export async function waitUntilHealthy(paths: PlatformPaths, keeper: ProcessIdentity): Promise<void> {
	const deadline = performance.now() + HEALTHY_DEADLINE_MS;
	for (;;) {
		const state = await health(platformUrl(readSettings(paths.settings)));
		if (state === "ready") return;
		if (!isAlive(keeper)) throw new DormiceError("internal", `The keeper ended; read ${paths.logs}`);
		if (performance.now() > deadline) {
			throw new DormiceError("deadline_exceeded", `Still not ready (${state}); read ${logPath(paths, "server")}`);
		}
		await sleep(100);
	}
}

/** Throws when a running platform has other settings than those asked for. */
export function requireSame(paths: PlatformPaths, choices: Choices, variables: Variables): void {
	const settings = readSettings(paths.settings);
	const differs =
		(choices.port !== undefined && choices.port !== 0 && choices.port !== settings.port) ||
		(choices.listen !== undefined && choices.listen !== settings.listen) ||
		(choices.domain !== undefined && choices.domain !== settings.domain);
	const changed = changedVariables(paths, variables);
	if (!differs && changed.length === 0) return;
	const what = [...(differs ? ["how it listens"] : []), ...changed].join(", ");
	throw new DormiceError(
		"already_running",
		`Dormice is already up on ${platformUrl(settings)}; to change ${what}, run \`dormice down\` first`,
	);
}
