import type { App } from "./app.ts";
import type { Platform } from "./platform.ts";

/** 204 when a sandbox could be made now; else 503 saying what is missing. */
export function health(app: App, { ready }: Platform): void {
	app.get("/health", { schema: { security: [] } }, async (_request, reply) => {
		await ready();
		return reply.code(204).send();
	});
}
