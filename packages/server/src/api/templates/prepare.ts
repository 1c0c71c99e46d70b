import { Type } from "typebox";
import { chooseIsolation } from "../../isolation/choice.ts";
import { OPERATOR } from "../access.ts";
import type { App } from "../app.ts";
import type { Platform } from "../platform.ts";
import { IsolationWish } from "../sandboxes/schemas.ts";
import { TemplateParams, tags } from "./schemas.ts";

/**
 * Ours: makes what sandboxes of a template with an isolation start from, before the first of them is asked for. Answers
 * when it is there; when that takes longer than clients wait, `not_set_up`, and it goes on: ask again.
 */
export function prepareRoutes(app: App, { host, templates, preparation }: Platform): void {
	const body = Type.Object({ isolation: Type.Optional(IsolationWish) });
	const schema = { tags, params: TemplateParams, body };
	app.post("/templates/:templateID/prepare", { config: OPERATOR, schema }, async ({ params, body, team }) => {
		const template = templates.resolve(params.templateID);
		const sources = { asked: body.isolation, metadata: {}, template, minimum: team.minimumIsolation };
		const isolation = chooseIsolation(host.isolations, sources);
		await preparation.ready(template, isolation);
		return { templateID: template.id, isolation };
	});
}
