import { Type } from "typebox";
import { collect } from "../sandboxes/generations.ts";
import { poolUsage, type Share, type TeamUsage, teamUsage } from "../sandboxes/usage.ts";
import { MEMBER, OPERATOR } from "./access.ts";
import type { App } from "./app.ts";
import type { Platform } from "./platform.ts";

const tags = ["storage"];

/** Ours: what is stored, and clearing away what nothing needs. A team is told of its own; the pool is the operator's. */
export function usageRoutes(app: App, { host, templates }: Platform): void {
	app.get("/usage", { config: MEMBER, schema: { tags } }, async ({ team, role }) => {
		if (role !== "operator") return told(await teamUsage(host, team.id));
		const usage = await poolUsage(host);
		return {
			...told(usage),
			templates: usage.templates.map((share) => ({
				...named("templateID", share),
				alias: templates.get(share.id)?.alias ?? null,
			})),
			totalBytes: usage.totalBytes,
			freeBytes: usage.freeBytes,
		};
	});

	const body = Type.Object({ dryRun: Type.Optional(Type.Boolean()) });
	app.post("/gc", { config: OPERATOR, schema: { tags, body } }, async ({ body }) => {
		const found = (await poolUsage(host)).superfluous;
		const deleted = body.dryRun === true ? undefined : await collect(host);
		return {
			...superfluous({ ...found, generationIds: deleted ?? found.generationIds }),
			dryRun: body.dryRun === true,
		};
	});
}

function told(usage: TeamUsage) {
	return {
		sandboxes: usage.sandboxes.map((share) => named("sandboxID", share)),
		snapshots: usage.snapshots.map((share) => named("snapshotID", share)),
		superfluous: superfluous(usage.superfluous),
	};
}

function named<Name extends string>(name: Name, { id, ...rest }: Share) {
	return { [name]: id, ...rest };
}

function superfluous({ generationIds, freedBytes }: { generationIds: string[]; freedBytes: number }) {
	return { generationIDs: generationIds, freedBytes };
}
