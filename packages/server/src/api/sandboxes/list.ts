import { DormiceError } from "@dormice/protocol";
import { Type } from "typebox";
import { countSandboxes, type ListFilter, listSandboxes } from "../../sandboxes/list.ts";
import { MEMBER } from "../access.ts";
import type { App } from "../app.ts";
import type { Platform } from "../platform.ts";
import { toListed } from "./answers.ts";
import { decodeMetadata, decodeToken, encodeToken } from "./list-query.ts";
import { tags } from "./schemas.ts";

const Query = Type.Object({
	metadata: Type.Optional(Type.String()),
	state: Type.Optional(Type.String()),
	order: Type.Optional(Type.Union([Type.Literal("asc"), Type.Literal("desc")])),
	startedAfter: Type.Optional(Type.String()),
	template: Type.Optional(Type.String()),
	limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
	nextToken: Type.Optional(Type.String()),
});

/** The sandboxes of a team. */
export function listRoutes(app: App, platform: Platform): void {
	const { host, templates } = platform;
	app.get("/v2/sandboxes", { config: MEMBER, schema: { tags, querystring: Query } }, async ({ query, team }, reply) => {
		const states = decodeStates(query.state);
		const templateId = decodeTemplate(query.template);
		const filter: ListFilter = {
			teamId: team.id,
			states,
			metadata: decodeMetadata(query.metadata),
			startedAfter: decodeTime(query.startedAfter),
			templateId,
		};
		if (states.includes("running")) {
			const total = await countSandboxes(host, { ...filter, states: ["running"] });
			reply.header("x-total-running", String(total));
		}
		const limit = query.limit ?? 100;
		const order = query.order ?? "desc";
		const after = query.nextToken === undefined ? undefined : decodeToken(query.nextToken);
		// One more than is shown tells whether there is more.
		const rows = await listSandboxes(host, filter, { order, limit: limit + 1, after });
		const page = rows.slice(0, limit);
		const last = page.at(-1);
		if (rows.length > limit && last !== undefined) reply.header("x-next-token", encodeToken(last, order));
		return page.map((row) => toListed(row, platform));
	});

	const querystring = Type.Object({ metadata: Type.Optional(Type.String()) });
	app.get("/sandboxes", { config: MEMBER, schema: { tags, querystring } }, async ({ query, team }) => {
		const filter: ListFilter = { teamId: team.id, states: ["running"], metadata: decodeMetadata(query.metadata) };
		const rows = await listSandboxes(host, filter, { order: "desc", limit: 10_000 });
		return rows.map((row) => toListed(row, platform));
	});

	function decodeTemplate(name: string | undefined): string | undefined {
		if (name === undefined) return undefined;
		if (name.includes(":")) throw new DormiceError("invalid_argument", "template: give an id or alias without a tag");
		// An unknown one has no sandboxes: no id is like this.
		return templates.find(name)?.id ?? "-";
	}
}

function decodeStates(state: string | undefined): ("running" | "paused")[] {
	const names = (state ?? "running,paused").split(",").filter((name) => name !== "");
	return names.map((name) => {
		if (name !== "running" && name !== "paused") {
			throw new DormiceError("invalid_argument", `state: '${name}' is neither 'running' nor 'paused'`);
		}
		return name;
	});
}

function decodeTime(time: string | undefined): Date | undefined {
	if (time === undefined) return undefined;
	// A '+' of an offset that was not encoded arrives as a space.
	const date = new Date(time.replace(" ", "+"));
	if (!/^\d{4}-\d\d-\d\d[Tt]/.test(time) || Number.isNaN(date.getTime())) {
		throw new DormiceError("invalid_argument", "startedAfter: give a time like 2026-01-31T12:00:00Z");
	}
	return date;
}
