import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { DormiceError } from "@dormice/protocol";
import { Dormice } from "@dormice/sdk";
import type { Config } from "./config.ts";
import { platformPaths } from "./platform/paths.ts";
import { platformUrl, readSettings } from "./platform/settings.ts";

/** The platform that a client command talks to. */
export interface Target {
	apiKey: string;
	apiUrl: string;
	sandboxUrl: string;
}

/**
 * The platform of the data directory, when there is one; else the one that the environment names. Whoever names a
 * data directory means that one.
 */
export function findTarget(config: Config, dataOption: string | undefined): Target {
	const paths = platformPaths(dataOption ?? config.data);
	const { apiKey, apiUrl, sandboxUrl } = config.remote;
	const remote = apiKey && apiUrl ? { apiKey, apiUrl, sandboxUrl: sandboxUrl ?? apiUrl } : undefined;
	if (!existsSync(paths.apiKey)) {
		if (remote && dataOption === undefined) return remote;
		throw new DormiceError(
			"not_set_up",
			`There is no platform in ${paths.data}. Start one with \`dormice up\`, name another data directory with --data, ` +
				"or set E2B_API_KEY and E2B_API_URL to use one elsewhere",
		);
	}
	if (!isReadable(paths.apiKey)) {
		if (remote) return remote;
		throw new DormiceError(
			"permission_denied",
			`Only root may read ${paths.apiKey}. Run this with sudo, or set E2B_API_KEY and E2B_API_URL ` +
				"(`sudo dormice env` prints them)",
		);
	}
	const url = platformUrl(readSettings(paths.settings));
	return { apiKey: readFileSync(paths.apiKey, "utf8").trim(), apiUrl: url, sandboxUrl: url };
}

export function connectTo({ apiKey, apiUrl, sandboxUrl }: Target): Dormice {
	return new Dormice({ apiKey, url: apiUrl, sandboxUrl });
}

function isReadable(path: string): boolean {
	try {
		accessSync(path, constants.R_OK);
		return true;
	} catch {
		return false;
	}
}
