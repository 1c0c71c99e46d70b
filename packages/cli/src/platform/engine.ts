import { existsSync } from "node:fs";
import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { type DormiceError, engine, fromConnectError } from "@dormice/protocol";
import { NODE, type PlatformPaths, REPOSITORY } from "./paths.ts";
import type { Service } from "./service.ts";
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

export function engineService(paths: PlatformPaths, user: UserIds, environment: Record<string, string>): Service {
	const client = engineClient(paths);
	return {
		name: "engine",
		title: "Start the engine",
		command: [NODE, `${REPOSITORY}/packages/engine/src/main.ts`],
		env: {
			...environment,
			DORMICE_DATA: paths.data,
			DORMICE_RUN: paths.run,
			DORMICE_ENGINE_SOCKET: paths.engineSocket,
			DORMICE_SERVER_GID: String(user.gid),
		},
		stopSignal: "SIGTERM",
		stopGraceMs: 20_000,
		isReady: async () => {
			if (!existsSync(paths.engineSocket)) return false;
			return client.listRootfs({}, { timeoutMs: 5_000 }).then(
				() => true,
				() => false,
			);
		},
		beforeStop: () => releaseSandboxes(paths),
	};
}

/** Builds the root file system of the base template, if it is not there yet; `onLine` hears of its progress. */
export async function buildBase(
	paths: PlatformPaths,
	onLine: (line: string) => void,
	signal: AbortSignal,
): Promise<void> {
	try {
		for await (const { line } of engineClient(paths).buildRootfs({ name: "base" }, { signal })) {
			if (line !== "") onLine(line);
		}
	} catch (error) {
		throw engineError(error);
	}
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
