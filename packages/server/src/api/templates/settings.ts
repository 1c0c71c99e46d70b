import { type TSchema, Type } from "typebox";
import type { Template } from "../../database/schema.ts";
import { changeSettings, settingsOf } from "../../templates/settings.ts";
import { MEMBER, OPERATOR } from "../access.ts";
import type { App } from "../app.ts";
import type { Platform } from "../platform.ts";
import { DozeMode, IsolationWish, Kept, Milliseconds } from "../sandboxes/schemas.ts";
import { TemplateParams, tags } from "./schemas.ts";

/** What null takes back. */
const orNull = <T extends TSchema>(type: T) => Type.Optional(Type.Union([type, Type.Null()]));

const Change = Type.Object(
	{
		isolation: orNull(IsolationWish),
		doze: orNull(DozeMode),
		dozeAfterMs: orNull(Milliseconds),
		sleepAfterMs: orNull(Milliseconds),
		retention: Type.Optional(
			Type.Object(
				{ last: orNull(Kept), checkpoints: orNull(Kept), daily: orNull(Kept) },
				{ additionalProperties: false },
			),
		),
	},
	{ additionalProperties: false },
);

/** Ours: what a template says of its sandboxes, where they do not say it themselves. */
export function settingsRoutes(app: App, { host, templates }: Platform): void {
	const url = "/templates/:templateID/settings";
	app.get(url, { config: MEMBER, schema: { tags, params: TemplateParams } }, async ({ params }) =>
		toSettings(templates.resolve(params.templateID)),
	);

	app.patch(
		url,
		{ config: OPERATOR, schema: { tags, params: TemplateParams, body: Change } },
		async ({ params, body }) => {
			const { isolation, doze, dozeAfterMs, sleepAfterMs, retention = {} } = body;
			const change = { isolation, rest: { doze, dozeAfterMs, sleepAfterMs }, retention };
			return toSettings(await changeSettings(host, templates, templates.resolve(params.templateID), change));
		},
	);

	/** What it says itself, and what its sandboxes get. */
	function toSettings(template: Template) {
		const { isolation, rest, retention } = settingsOf(template);
		return {
			templateID: template.id,
			alias: template.alias,
			settings: { ...(isolation === undefined ? {} : { isolation }), ...rest, retention },
			effective: {
				isolation: isolation ?? "auto",
				...host.config.rest,
				...rest,
				retention: { ...host.config.retention, ...retention },
			},
		};
	}
}
