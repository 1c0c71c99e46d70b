import { filesystem as filesystemWire, process as processWire } from "@dormice/protocol";
import type { Config } from "./config.ts";
import { Attributes } from "./files/attributes.ts";
import { Placer } from "./files/place.ts";
import { filesRoutes } from "./files/routes.ts";
import { Staging } from "./files/staging.ts";
import { filesystemService } from "./filesystem/service.ts";
import { Watchers } from "./filesystem/watchers.ts";
import { readJson, sendJson, text } from "./http/json.ts";
import { HttpServer, type Route } from "./http/server.ts";
import { Alive, commandLine } from "./processes/alive.ts";
import { Processes } from "./processes/processes.ts";
import { processRoutes } from "./processes/routes.ts";
import { processService } from "./processes/service.ts";
import { connectHandler } from "./rpc/handler.ts";
import { beOnTime } from "./sandbox/clock.ts";
import { presentHooks, readHook, runHook } from "./sandbox/hooks.ts";
import { initSandbox } from "./sandbox/init.ts";
import { recallIntroduction } from "./sandbox/introduction.ts";
import { Meter } from "./sandbox/metrics.ts";
import { Sandbox } from "./sandbox/sandbox.ts";
import type { Spawner } from "./spawner/spawner.ts";

/** Both listeners of a sandbox's supervisor. */
export interface Listeners extends AsyncDisposable {
	readonly port: number;
	readonly hostPort: number;
}

/** Serves one sandbox, until disposed: its clients at one port, the host at another. */
export async function serve(config: Config, spawner: Spawner): Promise<Listeners> {
	const sandbox = new Sandbox();
	await recallIntroduction(config.runDirectory, sandbox);
	const alive = await Alive.open(spawner.pid);
	const { path, outputDirectory, runDirectory } = config;
	const processes = await Processes.open({ sandbox, spawner, path, outputDirectory, runDirectory });
	const attributes = new Attributes({ xattrs: spawner, directory: config.metadataDirectory });
	const staging = new Staging(config.stagingDirectory);
	await staging.prepare(config.temporaryDirectories);
	const watchers = new Watchers();
	const placer = new Placer({ attributes, staging, watchers });
	const rpc = connectHandler((router) => {
		router.service(processWire.Process, processService({ processes, sandbox }));
		const { spawnerPath } = config;
		router.service(
			filesystemWire.Filesystem,
			filesystemService({ sandbox, spawner, attributes, staging, watchers, spawnerPath }),
		);
	});
	const parts = { config, spawner, sandbox, processes, alive, placer };
	await using owned = new AsyncDisposableStack();
	const { port } = owned.use(
		await HttpServer.listen({
			port: config.port,
			routes: clientRoutes(parts),
			rpc,
			admits: (token) => sandbox.admits(token),
		}),
	);
	const { hostAddress: from, hostPort } = config;
	const host = owned.use(await HttpServer.listen({ port: hostPort, from, routes: hostRoutes(parts) }));
	const listeners = owned.move();
	return { port, hostPort: host.port, [Symbol.asyncDispose]: () => listeners.disposeAsync() };
}

interface Parts {
	readonly config: Config;
	readonly spawner: Spawner;
	readonly sandbox: Sandbox;
	readonly processes: Processes;
	readonly alive: Alive;
	readonly placer: Placer;
}

const get = ["GET", "HEAD"];
const post = ["POST"];

/** What clients and the host may ask alike. */
function commonRoutes(): [string, Route][] {
	const meter = new Meter();
	return [
		["/health", { open: true, methods: get, handle: (_, response) => void response.writeHead(204).end() }],
		["/metrics", { methods: get, handle: async (_, response) => sendJson(response, 200, await meter.read()) }],
	];
}

/** The plain HTTP side of E2B's wire. */
function clientRoutes({ sandbox, processes, placer }: Parts): ReadonlyMap<string, Route> {
	const files = filesRoutes({ sandbox, placer });
	const kept = processRoutes(processes.history);
	return new Map<string, Route>([
		...commonRoutes(),
		["/envs", { methods: get, handle: (_, response) => sendJson(response, 200, sandbox.envs) }],
		["/processes", { own: true, methods: get, handle: kept.list }],
		["/processes/*", { own: true, methods: get, handle: kept.one }],
		["/files", { open: true, handle: files.files }],
		["/files/compose", { methods: post, handle: files.compose }],
	]);
}

/** What the host tells and asks: who the sandbox is, what goes on in it. */
function hostRoutes({ config, spawner, sandbox, processes, alive }: Parts): ReadonlyMap<string, Route> {
	return new Map<string, Route>([
		...commonRoutes(),
		[
			"/init",
			{
				methods: post,
				async handle(request, response) {
					const token = request.headers["x-access-token"];
					const presented = typeof token === "string" ? token : undefined;
					const { runDirectory, etc, path } = config;
					await initSandbox(await readJson(request), { sandbox, spawner, alive, runDirectory, etc, path, presented });
					response.writeHead(204).end();
				},
			},
		],
		[
			"/dormice/clock",
			{
				own: true,
				methods: post,
				async handle(request, response) {
					await beOnTime(text(await readJson(request), "timestamp"), spawner);
					response.writeHead(204).end();
				},
			},
		],
		[
			"/dormice/sync",
			{
				own: true,
				methods: post,
				async handle(_, response) {
					await spawner.sync();
					response.writeHead(204).end();
				},
			},
		],
		[
			"/dormice/activity",
			{
				own: true,
				methods: get,
				handle: async (_, response) => sendJson(response, 200, await activity(processes, alive, config.etc)),
			},
		],
		[
			"/dormice/hooks",
			{
				own: true,
				methods: post,
				async handle(request, response) {
					const { etc, path } = config;
					const hook = readHook(await readJson(request));
					if (hook) await runHook(hook.name, { spawner, etc, path, env: hook.env });
					sendJson(response, 200, { hooks: await presentHooks(etc) });
				},
			},
		],
	]);
}

/** What goes on in here at a client's wish: the processes it started and what those started, their CPU time, who listens. */
async function activity(processes: Processes, alive: Alive, etc: string) {
	const running = processes.running();
	const known = new Map(running.map((process) => [process.pid, process]));
	const [{ byClients: found, cpuMs, busiest }, hooks] = await Promise.all([alive.look(), presentHooks(etc)]);
	return {
		hooks,
		cpuMs,
		busiest,
		processes: await Promise.all(
			found.map(async ({ pid, cmd }) => {
				const { tag, startedAt } = known.get(pid) ?? {};
				return { pid, cmd: (await commandLine(pid)) ?? cmd, tag, startedAt };
			}),
		),
		subscribers: running.reduce((sum, process) => sum + process.subscribers, 0),
	};
}
