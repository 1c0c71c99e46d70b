import { Type } from "typebox";
import { readLifecycle } from "../../idleness/lifecycle.ts";
import { MEMBER } from "../access.ts";
import type { App } from "../app.ts";
import type { Platform } from "../platform.ts";
import { SandboxParams, tags } from "./schemas.ts";

/** Ours: why a sandbox is awake, where it is on the ladder, and how it came there. Wakes nobody. */
export function lifecycleRoutes(app: App, { host, idleness }: Platform): void {
	const querystring = Type.Object({ limit: Type.Optional(Type.Integer({ minimum: 0, maximum: 1000 })) });
	const schema = { tags, params: SandboxParams, querystring };
	app.get("/sandboxes/:sandboxID/lifecycle", { config: MEMBER, schema }, async ({ params, query, team }) => {
		const resident = host.table.owned(params.sandboxID, team.id);
		const lifecycle = await readLifecycle(host, idleness, resident, { limit: query.limit ?? 100 });
		const { state, rung, since, rest, awake, busiest, sleepsAt, timesMs, changes } = lifecycle;
		return {
			sandboxID: resident.id,
			isolation: resident.record.isolation,
			state,
			rung,
			since: since.toISOString(),
			rest,
			awake: awake.map((signal) => ({ ...signal, since: signal.since.toISOString() })),
			busiest,
			...(sleepsAt === undefined ? {} : { sleepsAt: sleepsAt.toISOString() }),
			timesMs,
			history: changes.map(({ at, fromState, toState, reason, lastedMs }) => ({
				at: at.toISOString(),
				from: fromState,
				to: toState,
				reason,
				lastedMs,
			})),
		};
	});
}
