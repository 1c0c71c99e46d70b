import { DormiceError } from "@dormice/protocol";
import type { Identity } from "../identity/identity.ts";
import { type Access, mayCall } from "../identity/role.ts";
import type { App } from "./app.ts";

/** For a route about what belongs to the key's own team: what is another's, it must not find. */
export const MEMBER = { access: "member" } as const satisfies { access: Access };
/** For a route about what belongs to the platform, or to every team. */
export const OPERATOR = { access: "operator" } as const satisfies { access: Access };

/** Asks every request for a key, and for one that may call the route. Throws at start-up for a route that does not say which. */
export function guard(app: App, identity: Identity): void {
	app.addHook("onRoute", ({ method, url, config }) => {
		if (config?.access === undefined) {
			throw new DormiceError("internal", `The route ${String(method)} ${url} does not say whose key it asks for.`);
		}
	});
	app.addHook("onRequest", async (request) => {
		const { team, role } = await identity.authenticate(request.headers);
		const { config, method, url } = request.routeOptions;
		if (config.access === undefined || !mayCall(role, config.access)) {
			throw new DormiceError("permission_denied", `${method} ${url} needs a key of the platform's operator.`);
		}
		request.team = team;
		request.role = role;
	});
}
