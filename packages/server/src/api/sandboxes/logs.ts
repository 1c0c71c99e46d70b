import { Type } from "typebox";
import type { LogEntry } from "../../logs/entry.ts";
import { readLog } from "../../logs/read.ts";
import { MEMBER } from "../access.ts";
import type { App } from "../app.ts";
import type { Platform } from "../platform.ts";
import { SandboxParams, tags } from "./schemas.ts";

const Limit = Type.Optional(Type.Integer({ minimum: 0, maximum: 10_000 }));
const Milliseconds = Type.Optional(Type.Integer({ minimum: 0, maximum: 8.64e15 }));

/** What a sandbox said and what happened to it. */
export function logRoutes(app: App, { host }: Platform): void {
	const params = SandboxParams;
	const v1 = { tags, params, querystring: Type.Object({ start: Milliseconds, limit: Limit }) };
	app.get("/sandboxes/:sandboxID/logs", { config: MEMBER, schema: v1 }, async ({ params, query, team }) => {
		const { id } = host.table.owned(params.sandboxID, team.id);
		const entries = await readLog(host, id, {
			from: query.start === undefined ? undefined : new Date(query.start),
			limit: query.limit ?? 1000,
			direction: "forward",
		});
		return { logs: entries.map(toLine), logEntries: entries.map(toEntry) };
	});

	const querystring = Type.Object({
		cursor: Milliseconds,
		limit: Limit,
		direction: Type.Optional(Type.Union([Type.Literal("forward"), Type.Literal("backward")])),
		level: Type.Optional(
			Type.Union([Type.Literal("debug"), Type.Literal("info"), Type.Literal("warn"), Type.Literal("error")]),
		),
		search: Type.Optional(Type.String({ maxLength: 256 })),
	});
	const v2 = { tags, params, querystring };
	app.get("/v2/sandboxes/:sandboxID/logs", { config: MEMBER, schema: v2 }, async ({ params, query, team }) => {
		const { id } = host.table.owned(params.sandboxID, team.id);
		const { cursor, limit = 1000, direction = "backward", level, search } = query;
		const from = cursor === undefined ? undefined : new Date(cursor);
		const entries = await readLog(host, id, { from, limit, direction, level, search });
		return { logs: entries.map(toEntry) };
	});
}

function toEntry({ timestamp, level, message, fields }: LogEntry) {
	return { timestamp: timestamp.toISOString(), level, message, fields };
}

/** The older form: the entry again, as a line of JSON. */
function toLine({ timestamp, level, message, fields }: LogEntry) {
	const line = JSON.stringify({ logger: "envd", ...fields, level, message });
	return { timestamp: timestamp.toISOString(), line };
}
