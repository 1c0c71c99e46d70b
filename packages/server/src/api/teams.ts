import { DormiceError, ISOLATIONS } from "@dormice/protocol";
import { Type } from "typebox";
import { keyOf, type Team } from "../identity/identity.ts";
import type { App } from "./app.ts";
import type { Platform } from "./platform.ts";

const tags = ["teams"];

/** The team of the key that asks; a platform has one. */
export function teamRoutes(app: App, { identity }: Platform): void {
	app.get("/teams", { schema: { tags } }, async ({ team, headers }) => [
		// The key is the caller's own: only its hash is stored, so there is none to give away.
		{ ...toTeam(team), apiKey: keyOf(headers), isDefault: true },
	]);

	// Ours: the least that keeps its new sandboxes apart; null: anything.
	const body = Type.Object(
		{ minimumIsolation: Type.Union([...ISOLATIONS.map((name) => Type.Literal(name)), Type.Null()]) },
		{ additionalProperties: false },
	);
	const params = Type.Object({ teamID: Type.String() });
	app.patch("/teams/:teamID", { schema: { tags, params, body } }, async ({ params, body, team }) => {
		if (params.teamID !== team.id) throw new DormiceError("permission_denied", "This key is of another team.");
		await identity.change(team, body);
		return toTeam({ ...team, ...body });
	});
}

function toTeam({ id, name, minimumIsolation }: Team) {
	return { teamID: id, name, minimumIsolation };
}
