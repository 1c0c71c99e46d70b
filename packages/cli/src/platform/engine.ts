import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { type DormiceError, engine, fromConnectError } from "@dormice/protocol";
import { locate } from "../setup/programs.ts";
import { NODE, type PlatformPaths, REPOSITORY } from "./paths.ts";
import type { Service } from "./service.ts";
import type { Variables } from "./settings.ts";
import type { UserIds } from "./user.ts";

export type EngineClient = Client<typeof engine.Engine>;

/** A client of the engine that answers on this platform's socket. */
export function engineClient(paths: PlatformPaths): EngineClient {
	const transport = createConnectTransport({
		httpVersion: "1.1",
		baseUrl: "http://engine",
		nodeOptions: { socketPath: paths.engineSocket },
	});
	return createClient(engine.Engine, transport);
}

export function engineError(error: unknown): DormiceError {
	return fromConnectError(error, "engine_unavailable");
}

export function engineService(
	paths: PlatformPaths,
	user: UserIds,
	{ DATABASE_URL: _url, DORMICE_SECRETS_KEY: _key, ...variables }: Variables,
	searchPath: string,
): Service {
	const runsc = locate("runsc", searchPath);
	return {
		name: "engine",
		title: "Start the engine",
		command: [NODE, `${REPOSITORY}/packages/engine/src/main.ts`],
		env: {
			PATH: searchPath,
			...(runsc ? { RUNSC_PATH: runsc } : {}),
			...variables,
			NODE_COMPILE_CACHE: join(paths.cache, "engine"),
			DORMICE_DATA: paths.data,
			DORMICE_RUN: paths.run,
			DORMICE_ENGINE_SOCKET: paths.engineSocket,
			DORMICE_SERVER_GID: String(user.gid),
		},
		stopSignal: "SIGTERM",
		stopGraceMs: 20_000,
		readiness: async () => ((await answers(paths)) ? "ready" : "starting"),
		beforeStop: () => releaseSandboxes(paths),
	};
}

/** How often a build is begun again when the engine went away in the middle of it. */
const BUILD_ATTEMPTS = 3;

/** Builds the root file system of the base template, if it is not there yet; `onLine` hears of its progress. */
export async function buildBase(
	paths: PlatformPaths,
	onLine: (line: string) => void,
	signal: AbortSignal,
): Promise<void> {
	for (let attempt = 1; ; attempt++) {
		try {
			for await (const { line } of engineClient(paths).buildRootfs({ name: "base" }, { signal })) {
				if (line !== "") onLine(line);
			}
			return;
		} catch (error) {
			signal.throwIfAborted();
			if (!isLost(error) || attempt === BUILD_ATTEMPTS) throw engineError(error);
			onLine("the engine went away; beginning again with the next one");
			await waitForEngine(paths, signal);
		}
	}
}

/** Whether an error says that the connection ended rather than that the engine refused. */
function isLost(error: unknown): boolean {
	return [Code.Unavailable, Code.Aborted, Code.Unknown].includes(ConnectError.from(error).code);
}

async function waitForEngine(paths: PlatformPaths, signal: AbortSignal): Promise<void> {
	while (!(await answers(paths))) await sleep(100, undefined, { signal });
}

async function answers(paths: PlatformPaths): Promise<boolean> {
	if (!existsSync(paths.engineSocket)) return false;
	return engineClient(paths)
		.listRootfs({}, { timeoutMs: 5_000 })
		.then(
			() => true,
			() => false,
		);
}

/**
 * Ends everything that runs in the engine's sandboxes. Their disks stay, and the server brings the sandboxes
 * back from them when the platform is up again.
 */
async function releaseSandboxes(paths: PlatformPaths): Promise<void> {
	const client = engineClient(paths);
	try {
		const { sandboxes } = await client.list({}, { timeoutMs: 10_000 });
		const live = sandboxes.filter(({ state }) => state !== "stopped");
		await Promise.all(
			live.map(({ sandboxId }) => client.destroy({ sandboxId, keepDisk: true }, { timeoutMs: 60_000 })),
		);
	} catch (error) {
		throw engineError(error);
	}
}
