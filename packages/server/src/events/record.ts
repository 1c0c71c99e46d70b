import { sql } from "kysely";
import type { Logger } from "pino";
import type { Queries } from "../database/database.ts";
import { bestEffort } from "../log.ts";

/** What can happen to a sandbox. */
export type EventKind =
	| "created"
	| "paused"
	| "fell_asleep"
	| "pause_failed"
	| "woken"
	| "wake_failed"
	| "crashed"
	| "recovered"
	| "recovery_failed"
	| "repair_failed"
	| "spinning"
	| "checkpointed"
	| "rolled_back"
	| "generation_corrupt"
	| "disk_repaired"
	| "killed";

export interface NewEvent {
	kind: EventKind;
	/** Who or what caused it. */
	reason: "api" | "timeout" | "request" | "idle" | "memory" | "crash";
	durationMs?: number;
	detail?: Record<string, string>;
}

/**
 * Writes an event, with the isolation that the sandbox has. Inside a move's transaction, so that a change and its record
 * are one.
 */
export async function record(queries: Queries, sandboxId: string, event: NewEvent): Promise<void> {
	const { kind, reason, durationMs, detail = {} } = event;
	await queries
		.insertInto("events")
		.values({
			sandboxId,
			at: new Date(),
			kind,
			reason,
			durationMs: durationMs === undefined ? null : Math.round(durationMs),
			detail: sql<string>`jsonb_strip_nulls(jsonb_build_object('isolation',
				(select isolation from sandboxes where id = ${sandboxId}))) || ${JSON.stringify(detail)}::jsonb`,
		})
		.execute();
}

/** An event about something that changed nothing: worth telling, not worth failing for. */
export async function tell(queries: Queries, log: Logger, sandboxId: string, event: NewEvent): Promise<void> {
	await bestEffort(log, `recording ${event.kind} of ${sandboxId}`, record(queries, sandboxId, event));
}
