import { locate } from "../setup/programs.ts";
import { engineService } from "./engine.ts";
import type { PlatformPaths } from "./paths.ts";
import { postgresService } from "./postgres.ts";
import { serverService } from "./server.ts";
import type { Service } from "./service.ts";
import type { Settings } from "./settings.ts";
import { requireUser } from "./user.ts";

/** What a platform consists of, in the order of its start. */
export function platformServices(paths: PlatformPaths, settings: Settings, path: string): Service[] {
	const user = requireUser();
	const { DATABASE_URL, ...engineEnvironment } = settings.environment;
	const runsc = locate("runsc", path);
	return [
		...(DATABASE_URL === undefined ? [postgresService(paths, user)] : []),
		engineService(paths, user, { ...(runsc ? { RUNSC_PATH: runsc } : {}), ...engineEnvironment, PATH: path }),
		serverService(paths, user, settings),
	];
}
