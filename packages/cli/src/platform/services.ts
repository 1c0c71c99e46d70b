import type { Config } from "../config.ts";
import { engineService } from "./engine.ts";
import type { PlatformPaths } from "./paths.ts";
import { postgresService } from "./postgres.ts";
import { serverService } from "./server.ts";
import type { Service } from "./service.ts";
import { readSettings, readVariables } from "./settings.ts";
import { requireUser } from "./user.ts";

/** What a platform consists of, in the order of its start. */
export function platformServices(paths: PlatformPaths, config: Config): Service[] {
	const user = requireUser();
	const variables = readVariables(paths.variables, config.passedOn);
	return [
		...(variables.DATABASE_URL === undefined ? [postgresService(paths, user)] : []),
		engineService(paths, user, variables, config.path),
		serverService(paths, user, readSettings(paths.settings), variables),
	];
}
