import { Type } from "typebox";
import { addKey, deleteKey, type Key, listKeys } from "../identity/keys.ts";
import { OPERATOR } from "./access.ts";
import type { App } from "./app.ts";
import type { Platform } from "./platform.ts";

const tags = ["keys"];

/** The API keys of the asking key's team. The routes are E2B's, `role` is ours; a key itself is told once, when it is made. */
export function keyRoutes(app: App, { host, identity }: Platform): void {
	app.get("/api-keys", { config: OPERATOR, schema: { tags } }, async ({ team }) =>
		(await listKeys(host.database, team.id)).map(toKey),
	);

	const body = Type.Object({
		name: Type.String({ minLength: 1, maxLength: 64 }),
		role: Type.Optional(Type.Union([Type.Literal("member"), Type.Literal("operator")])),
	});
	app.post("/api-keys", { config: OPERATOR, schema: { tags, body } }, async ({ body, team }, reply) => {
		const { key, row } = await addKey(host.database, { teamId: team.id, name: body.name, role: body.role ?? "member" });
		return reply.code(201).send({ ...toKey(row), key });
	});

	const params = Type.Object({ keyID: Type.String() });
	app.delete(
		"/api-keys/:keyID",
		{ config: OPERATOR, schema: { tags, params } },
		async ({ params, team, headers }, reply) => {
			await deleteKey(host.database, { teamId: team.id, id: params.keyID, asking: headers });
			identity.forget();
			return reply.code(204).send();
		},
	);
}

function toKey({ id, name, role, createdAt }: Key) {
	return { id, name, role, createdAt: createdAt.toISOString() };
}
