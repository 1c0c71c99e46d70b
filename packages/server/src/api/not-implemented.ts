import { DormiceError } from "@dormice/protocol";
import type { HTTPMethods } from "fastify";
import { MEMBER } from "./access.ts";
import type { App } from "./app.ts";

/** Of E2B's API, what this platform does not do yet. Clients are told so, rather than that there is no such thing. */
const ROUTES: readonly [HTTPMethods[], string][] = [
	[["POST"], "/v3/templates"],
	[["GET"], "/templates/:templateID"],
	[["PATCH"], "/v2/templates/:templateID"],
	[["GET"], "/templates/:templateID/files/:hash"],
	[["POST"], "/v2/templates/:templateID/builds/:buildID"],
	[["GET"], "/templates/:templateID/builds/:buildID/status"],
	[["GET"], "/templates/:templateID/builds/:buildID/logs"],
	[["GET"], "/templates/:templateID/tags"],
	[["POST", "DELETE"], "/templates/tags"],
	[["GET", "POST"], "/volumes"],
	[["GET", "DELETE"], "/volumes/:volumeID"],
	[["GET", "POST"], "/secrets"],
	[["GET", "POST", "DELETE"], "/secrets/:secret"],
	[["PATCH"], "/api-keys/:keyID"],
];

export function notImplemented(app: App): void {
	for (const [method, url] of ROUTES) {
		app.route({
			method,
			url,
			config: MEMBER,
			schema: { hide: true },
			handler: async (request) => {
				throw new DormiceError(
					"not_implemented",
					`Dormice does not have ${request.method} ${request.routeOptions.url} yet.`,
				);
			},
		});
	}
}
