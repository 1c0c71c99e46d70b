import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { step } from "../progress.ts";
import { confined } from "./confine.ts";
import { buildBase } from "./engine.ts";
import { filterPath } from "./filter.ts";
import { NODE, type PlatformPaths, REPOSITORY } from "./paths.ts";
import { postgresUrl } from "./postgres.ts";
import type { Service } from "./service.ts";
import { platformUrl, type Settings, type Variables } from "./settings.ts";
import type { UserIds } from "./user.ts";

const SERVER = `${REPOSITORY}/packages/server/src`;

/** The server: no root, no capabilities, and of the host it sees the program, the sockets and the sandboxes' logs. */
export function serverService(paths: PlatformPaths, user: UserIds, settings: Settings, variables: Variables): Service {
	const databaseUrl = variables.DATABASE_URL ?? postgresUrl(paths);
	const url = platformUrl(settings);
	const cache = join(paths.cache, "server");
	const secretsKey = variables.DORMICE_SECRETS_KEY === undefined ? [paths.secretsKey] : [];
	return {
		name: "server",
		title: "Start the server",
		command: confined([NODE, "--import", `${SERVER}/require-filter.ts`, `${SERVER}/main.ts`], {
			...user,
			filter: filterPath(paths, "server"),
			readOnly: [REPOSITORY, paths.run, paths.sandboxLogs, ...secretsKey, ...socketDirectory(databaseUrl)],
			writable: [cache],
			emptyRoot: paths.emptyRoot,
		}),
		env: {
			...variables,
			PATH: "/usr/bin:/bin",
			NODE_ENV: "production",
			NODE_COMPILE_CACHE: cache,
			DORMICE_DATA: paths.data,
			DORMICE_PORT: String(settings.port),
			DORMICE_LISTEN: settings.listen,
			...(settings.domain ? { DORMICE_DOMAIN: settings.domain } : {}),
			DORMICE_ENGINE_SOCKET: paths.engineSocket,
			DATABASE_URL: databaseUrl,
			DORMICE_API_KEY: readFileSync(paths.apiKey, "utf8").trim(),
		},
		stopSignal: "SIGTERM",
		stopGraceMs: 15_000,
		readiness: () => health(url),
		beforeStart: (progress, signal) => step(progress, "Base template", (line) => buildBase(paths, line, signal)),
	};
}

/** `ready` when the API says that sandboxes can be made, else what is missing, in words. */
export async function health(url: string): Promise<string> {
	try {
		const response = await fetch(`${url}/health`, { signal: AbortSignal.timeout(5_000) });
		const body = await response.text();
		return response.status === 204 ? "ready" : messageOf(body);
	} catch {
		return "starting";
	}
}

function messageOf(body: string): string {
	try {
		return String((JSON.parse(body) as { message?: unknown }).message);
	} catch {
		return body.slice(0, 200);
	}
}

/** The directory of a database's UNIX socket, when the URL names one: the server must be able to see it. */
export function socketDirectory(databaseUrl: string): string[] {
	const host = URL.canParse(databaseUrl.replace("@/", "@localhost/"))
		? new URL(databaseUrl.replace("@/", "@localhost/")).searchParams.get("host")
		: undefined;
	if (!host?.startsWith("/") || !existsSync(host)) return [];
	return [host.includes(".s.PGSQL.") ? dirname(host) : host];
}
