import { Type } from "typebox";
import { collect } from "../sandboxes/generations.ts";
import { poolUsage, type Share } from "../sandboxes/usage.ts";
import type { App } from "./app.ts";
import type { Platform } from "./platform.ts";

const tags = ["storage"];

/** Ours: what is stored on this platform, and clearing away what nothing needs. */
export function usageRoutes(app: App, { host, templates }: Platform): void {
	app.get("/usage", { schema: { tags } }, async () => {
		const usage = await poolUsage(host);
		return {
			sandboxes: usage.sandboxes.map((share) => named("sandboxID", share)),
			templates: usage.templates.map((share) => ({
				...named("templateID", share),
				alias: templates.get(share.id)?.alias ?? null,
			})),
			snapshots: usage.snapshots.map((share) => named("snapshotID", share)),
			superfluous: superfluous(usage.superfluous),
			totalBytes: usage.totalBytes,
			freeBytes: usage.freeBytes,
		};
	});

	const body = Type.Object({ dryRun: Type.Optional(Type.Boolean()) });
	app.post("/gc", { schema: { tags, body } }, async ({ body }) => {
		const found = (await poolUsage(host)).superfluous;
		const deleted = body.dryRun === true ? undefined : await collect(host);
		return {
			...superfluous({ ...found, generationIds: deleted ?? found.generationIds }),
			dryRun: body.dryRun === true,
		};
	});
}

function named<Name extends string>(name: Name, { id, ...rest }: Share) {
	return { [name]: id, ...rest };
}

function superfluous({ generationIds, freedBytes }: { generationIds: string[]; freedBytes: number }) {
	return { generationIDs: generationIds, freedBytes };
}
