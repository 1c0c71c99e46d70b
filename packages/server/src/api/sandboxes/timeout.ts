import { DormiceError } from "@dormice/protocol";
import { Type } from "typebox";
import type { Config } from "../../config.ts";
import { setEnd } from "../../sandboxes/timeout.ts";
import { MEMBER } from "../access.ts";
import type { App } from "../app.ts";
import type { Platform } from "../platform.ts";
import { SandboxParams, Seconds, tags } from "./schemas.ts";

/** The least a refresh gives. */
const MIN_REFRESH_SECONDS = 15;

/** How long a sandbox goes on. */
export function timeoutRoutes(app: App, { host }: Platform): void {
	const params = SandboxParams;
	const timeout = { tags, params, body: Type.Object({ timeout: Seconds }) };
	app.post(
		"/sandboxes/:sandboxID/timeout",
		{ config: MEMBER, schema: timeout },
		async ({ params, body, team }, reply) => {
			const seconds = checkTimeout(host.config, body.timeout, 0);
			await setEnd(host, host.table.owned(params.sandboxID, team.id), after(seconds), { extendOnly: false });
			return reply.code(204).send();
		},
	);

	const duration = Type.Optional(Type.Integer({ minimum: 0, maximum: 3600 }));
	const refresh = { tags, params, body: Type.Object({ duration }) };
	app.post(
		"/sandboxes/:sandboxID/refreshes",
		{ config: MEMBER, schema: refresh },
		async ({ params, body, team }, reply) => {
			const seconds = Math.max(body.duration ?? 0, MIN_REFRESH_SECONDS);
			await setEnd(host, host.table.owned(params.sandboxID, team.id), after(seconds), { extendOnly: true });
			return reply.code(204).send();
		},
	);
}

export function after(seconds: number): Date {
	return new Date(Date.now() + seconds * 1000);
}

/** Throws `invalid_argument` for a timeout that is too short or longer than the platform allows. */
export function checkTimeout({ maxTimeoutSeconds }: Config, seconds: number, min: 0 | 1): number {
	if (seconds < min) {
		throw new DormiceError("invalid_argument", `Timeout must be ${min === 0 ? "at least" : "greater than"} 0`);
	}
	if (seconds > maxTimeoutSeconds) {
		throw new DormiceError("invalid_argument", `Timeout cannot be greater than ${maxTimeoutSeconds / 3600} hours`);
	}
	return seconds;
}
