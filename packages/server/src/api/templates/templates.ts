import { DormiceError, GUEST } from "@dormice/protocol";
import { Type } from "typebox";
import type { Template } from "../../database/schema.ts";
import type { Prepared } from "../../templates/preparation.ts";
import { MEMBER } from "../access.ts";
import type { App } from "../app.ts";
import type { Platform } from "../platform.ts";
import { tags } from "./schemas.ts";

/** The templates there are; making them comes later. */
export function listRoutes(app: App, { templates, preparation }: Platform): void {
	const list = async () => templates.list().map((template) => toTemplate(template, preparation.states(template)));
	app.get("/templates", { config: MEMBER, schema: { tags } }, list);
	app.get("/v2/templates", { config: MEMBER, schema: { tags } }, list);
	const params = Type.Object({ alias: Type.String() });
	app.get("/templates/aliases/:alias", { config: MEMBER, schema: { tags, params } }, async ({ params }) => {
		const template = templates.find(params.alias);
		if (template === undefined) {
			throw new DormiceError("template_not_found", `template '${params.alias}' not found`);
		}
		return { templateID: template.id, public: true };
	});
}

function toTemplate(template: Template, states: Prepared[]) {
	return {
		templateID: template.id,
		buildID: buildId(template),
		cpuCount: template.cpuCount,
		memoryMB: template.memoryMib,
		diskSizeMB: template.diskMib,
		public: true,
		aliases: [template.alias],
		names: [template.alias],
		createdAt: template.createdAt.toISOString(),
		updatedAt: template.updatedAt.toISOString(),
		createdBy: null,
		lastSpawnedAt: template.lastSpawnedAt?.toISOString() ?? null,
		spawnCount: template.spawnCount,
		buildCount: 1,
		envdVersion: GUEST.envdVersion,
		buildStatus: states.some(({ status }) => status === "ready") ? "ready" : "building",
		// Ours: what it is prepared for, or being prepared for at the moment.
		isolations: states.map(({ since, ...rest }) => ({ ...rest, ...(since ? { since: since.toISOString() } : {}) })),
	};
}

/** Clients expect a UUID; ours is the rootfs id's hash in that form. */
function buildId({ rootfsId }: Template): string {
	const hash = rootfsId.slice(rootfsId.lastIndexOf("-") + 1).padEnd(32, "0");
	return hash.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, "$1-$2-$3-$4-$5");
}
