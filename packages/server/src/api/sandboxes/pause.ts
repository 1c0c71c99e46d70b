import { Type } from "typebox";
import { kill } from "../../sandboxes/kill.ts";
import { pause } from "../../sandboxes/pause.ts";
import { MEMBER } from "../access.ts";
import type { App } from "../app.ts";
import type { Platform } from "../platform.ts";
import { SandboxParams, tags } from "./schemas.ts";

/** Puts a sandbox to sleep, or ends it. */
export function pauseRoutes(app: App, { host }: Platform): void {
	const params = SandboxParams;
	const body = Type.Object({ memory: Type.Optional(Type.Boolean()) });
	app.post(
		"/sandboxes/:sandboxID/pause",
		{ config: MEMBER, schema: { tags, params, body } },
		async ({ params, body, team }, reply) => {
			const resident = host.table.owned(params.sandboxID, team.id);
			await pause(host, resident, { memory: body.memory ?? true, reason: "api" });
			return reply.code(204).send();
		},
	);

	app.delete("/sandboxes/:sandboxID", { config: MEMBER, schema: { tags, params } }, async ({ params, team }, reply) => {
		await kill(host, host.table.owned(params.sandboxID, team.id), "api");
		return reply.code(204).send();
	});
}
