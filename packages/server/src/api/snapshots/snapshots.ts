import { DormiceError, isId } from "@dormice/protocol";
import { Type } from "typebox";
import type { Snapshot } from "../../database/schema.ts";
import type { Team } from "../../identity/identity.ts";
import { slugOf } from "../../snapshots/name.ts";
import { deleteSnapshot, listSnapshots, takeSnapshot } from "../../snapshots/snapshots.ts";
import { MEMBER } from "../access.ts";
import type { App } from "../app.ts";
import type { Platform } from "../platform.ts";
import { decodeMoment } from "../sandboxes/list-query.ts";
import { SandboxParams } from "../sandboxes/schemas.ts";

const tags = ["snapshots"];

/** States of sandboxes to make others from. To clients a snapshot is a kind of template, and is deleted as one. */
export function snapshotRoutes(app: App, { host, templates }: Platform): void {
	const take = { tags, params: SandboxParams, body: Type.Object({ name: Type.Optional(Type.String()) }) };
	app.post(
		"/sandboxes/:sandboxID/snapshots",
		{ config: MEMBER, schema: take },
		async ({ params, body, team }, reply) => {
			const resident = host.table.owned(params.sandboxID, team.id);
			if (body.name !== undefined && templates.knows(body.name)) {
				throw new DormiceError("invalid_argument", `There is a template '${body.name}': name the snapshot otherwise.`);
			}
			return reply.code(201).send(toInfo(await takeSnapshot(host, team, resident, body.name), team));
		},
	);

	const querystring = Type.Object({
		sandboxID: Type.Optional(Type.String()),
		name: Type.Optional(Type.String()),
		limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
		nextToken: Type.Optional(Type.String()),
	});
	app.get("/snapshots", { config: MEMBER, schema: { tags, querystring } }, async ({ query, team }, reply) => {
		const limit = query.limit ?? 100;
		const after = query.nextToken === undefined ? undefined : decodeToken(query.nextToken);
		const filter = { sandboxId: query.sandboxID?.split("-", 1)[0], reference: query.name };
		// One more than is shown tells whether there is more.
		const rows = await listSnapshots(host, team, filter, { limit: limit + 1, after });
		const page = rows.slice(0, limit);
		const last = page.at(-1);
		if (rows.length > limit && last !== undefined) reply.header("x-next-token", encodeToken(last));
		return page.map((row) => toInfo(row, team));
	});

	const params = Type.Object({ templateID: Type.String() });
	app.delete(
		"/templates/:templateID",
		{ config: MEMBER, schema: { tags, params } },
		async ({ params, team }, reply) => {
			const { templateID } = params;
			if (templates.knows(templateID)) {
				throw new DormiceError("permission_denied", `Template '${templateID}' belongs to the platform and stays.`);
			}
			if (!(await deleteSnapshot(host, team, templateID))) {
				throw new DormiceError("template_not_found", `template '${templateID}' not found`);
			}
			return reply.code(204).send();
		},
	);
}

function toInfo({ id, name, tag }: Snapshot, team: Team) {
	const full = name === null ? undefined : `${slugOf(team)}/${name}:${tag}`;
	return { snapshotID: full ?? `${id}:${tag}`, names: full === undefined ? [] : [full] };
}

function encodeToken({ createdAt, id, tag }: Snapshot): string {
	return Buffer.from(`${createdAt.toISOString()}__${id}:${tag}`).toString("base64url");
}

function decodeToken(token: string): { createdAt: Date; key: string } {
	const [time = "", ...rest] = Buffer.from(token, "base64url").toString().split("__");
	const key = rest.join("__");
	const createdAt = decodeMoment(time);
	if (createdAt === undefined || !isId("template", key.split(":", 1)[0] ?? "")) {
		throw new DormiceError("invalid_argument", "Invalid next token");
	}
	return { createdAt, key };
}
