import { DormiceError } from "@dormice/protocol";
import type { App } from "./app.ts";
import type { Platform } from "./platform.ts";

/** For an operator, who has the log: whoever asks here has no key. */
const UNTOLD = new DormiceError("internal", "Not ready: the server's log says why.");

/** 204 when a sandbox could be made now; else 503 saying what is missing. */
export function health(app: App, { ready }: Platform): void {
	app.get("/health", { schema: { security: [] } }, async (_request, reply) => {
		try {
			await ready();
		} catch (error) {
			// Asked again and again by whoever waits: an answer, and no line of the log.
			const { reason, message } = error instanceof DormiceError && error.reason !== "internal" ? error : UNTOLD;
			return reply.code(503).header("retry-after", "1").send({ code: 503, message, reason });
		}
		return reply.code(204).send();
	});
}
