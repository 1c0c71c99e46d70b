import { DormiceError, ISOLATIONS } from "@dormice/protocol";
import { Type } from "typebox";
import { keyOf, type Team } from "../identity/identity.ts";
import { MEMBER, OPERATOR } from "./access.ts";
import type { App } from "./app.ts";
import type { Platform } from "./platform.ts";

const tags = ["teams"];

/** The team of the key that asks, and what the operator says of teams. */
export function teamRoutes(app: App, { identity }: Platform): void {
	app.get("/teams", { config: MEMBER, schema: { tags } }, async ({ team, headers }) => [
		// The key is the caller's own: only its hash is stored, so there is none to give away.
		{ ...toTeam(team), apiKey: keyOf(headers), isDefault: true },
	]);

	// Ours: the least that keeps a team's new sandboxes apart; null: anything. A team cannot free itself of it.
	const body = Type.Object(
		{ minimumIsolation: Type.Union([...ISOLATIONS.map((name) => Type.Literal(name)), Type.Null()]) },
		{ additionalProperties: false },
	);
	const params = Type.Object({ teamID: Type.String() });
	app.patch("/teams/:teamID", { config: OPERATOR, schema: { tags, params, body } }, async ({ params, body }) => {
		const team = await identity.change(params.teamID, body);
		if (team === undefined) throw new DormiceError("team_not_found", `There is no team '${params.teamID}'.`);
		return toTeam(team);
	});
}

function toTeam({ id, name, minimumIsolation }: Team) {
	return { teamID: id, name, minimumIsolation };
}
