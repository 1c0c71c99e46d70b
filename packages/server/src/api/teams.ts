import { keyOf } from "../identity/identity.ts";
import type { App } from "./app.ts";

/** The team of the key that asks; a platform has one. */
export function teamRoutes(app: App): void {
	app.get("/teams", { schema: { tags: ["teams"] } }, async ({ team, headers }) => [
		// The key is the caller's own: only its hash is stored, so there is none to give away.
		{ teamID: team.id, name: team.name, apiKey: keyOf(headers), isDefault: true },
	]);
}
