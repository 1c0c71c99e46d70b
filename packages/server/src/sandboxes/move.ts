import { canMove, DormiceError, type SandboxState, TRANSITIONAL } from "@dormice/protocol";
import { fromDatabaseError, type Queries } from "../database/database.ts";
import type { Sandbox, SandboxChange, SandboxRow } from "../database/schema.ts";
import { type NewEvent, record as recordEvent } from "../events/record.ts";
import type { Host } from "./host.ts";
import { changing, type Resident } from "./resident.ts";
import { openRow } from "./row.ts";

/** How long a transitional state may last before the repair loop takes the sandbox over. */
export const TRANSITION_MS = 15 * 60_000;

/** What a move sets besides the state. */
type Changes = Omit<SandboxChange, "id" | "state" | "epoch" | "transitionDeadline" | "stateSince" | "stateMs">;

export interface Move {
	to: SandboxState;
	set?: Changes;
	event?: NewEvent;
	/** Who or what caused it; the event's reason when it is not given. */
	reason?: NewEvent["reason"];
	/** When it happened, if that was before now. */
	at?: Date;
	/** Further writes of the same transaction. */
	also?: (queries: Queries) => Promise<void>;
}

/**
 * Moves a sandbox's row, if it is still as we know it, and the resident with it.
 * Throws `state_conflict` when somebody else moved it meanwhile, `database_unavailable` when nobody can say.
 */
export function move(host: Host, resident: Resident, change: Move): Promise<void> {
	return resident.inTurn(() => moveNow(host, resident, change));
}

/**
 * Brings the row of a sandbox that is up to what is the case: it dozes, or it does not. Nobody waits for this, and nothing
 * depends on it: a server that dies before leaves the engine to say it.
 */
export function settle(host: Host, resident: Resident, reason: NewEvent["reason"]): Promise<void> {
	return resident.inTurn(async () => {
		const { state } = resident.record;
		const to = resident.dozing ? "dozing" : "running";
		if (state === to || (state !== "running" && state !== "dozing")) return;
		await moveNow(host, resident, { to, reason, at: resident.turnedAt });
	});
}

async function moveNow(host: Host, resident: Resident, change: Move): Promise<void> {
	const { to, set = {}, event, also } = change;
	const from = resident.record;
	if (!canMove(from.state, to)) {
		throw new DormiceError("internal", `A sandbox cannot move from '${from.state}' to '${to}'.`);
	}
	const compareAndSet = (queries: Queries) => writeMove(queries, from, { ...change, set });

	let moved: SandboxRow | undefined;
	try {
		if (event === undefined && also === undefined) moved = await compareAndSet(host.database);
		else {
			moved = await host.database.transaction().execute(async (queries) => {
				// First what the row will refer to; a lost comparison takes it back.
				await also?.(queries);
				const row = await compareAndSet(queries);
				if (row === undefined) throw changing(from.id);
				if (event !== undefined) await recordEvent(queries, from.id, event);
				return row;
			});
		}
	} catch (error) {
		throw fromDatabaseError(error, `moving sandbox ${from.id} from ${from.state} to ${to}`);
	}
	if (moved === undefined) throw changing(from.id);
	resident.record = openRow(host.vault, moved, from);
}

/** The comparison, the change and its record in one statement, so that a move costs one round trip. */
async function writeMove(queries: Queries, from: Sandbox, change: Move): Promise<SandboxRow | undefined> {
	const { to, set, event, reason = event?.reason ?? "crash", at = new Date() } = change;
	const lastedMs = Math.max(0, at.getTime() - from.stateSince.getTime());
	return await queries
		.with("moved", (query) =>
			query
				.updateTable("sandboxes")
				.set({
					...set,
					state: to,
					epoch: from.epoch + 1,
					transitionDeadline: deadline(to),
					stateSince: at,
					stateMs: JSON.stringify({ ...from.stateMs, [from.state]: (from.stateMs[from.state] ?? 0) + lastedMs }),
				})
				.where("id", "=", from.id)
				.where("state", "=", from.state)
				.where("epoch", "=", from.epoch)
				.returningAll(),
		)
		.with("noted", (query) =>
			query
				.insertInto("transitions")
				.columns(["sandboxId", "at", "fromState", "toState", "reason", "lastedMs"])
				.expression((select) =>
					select
						.selectFrom("moved")
						.select(({ val, cast }) => [
							"moved.id",
							"moved.stateSince",
							cast<string>(val(from.state), "text").as("fromState"),
							"moved.state",
							cast<string>(val(reason), "text").as("reason"),
							cast<number>(val(lastedMs), "bigint").as("lastedMs"),
						]),
				),
		)
		.selectFrom("moved")
		.selectAll()
		.executeTakeFirst();
}

/**
 * Writes what is no change of state to a sandbox's row, if it is still as we know it. The epoch stays.
 * Throws as `move` does.
 */
export async function amend(host: Host, resident: Resident, set: Changes, doing: string): Promise<void> {
	await resident.inTurn(async () => {
		const { id, epoch } = resident.record;
		try {
			const row = await host.database
				.updateTable("sandboxes")
				.set(set)
				.where("id", "=", id)
				.where("epoch", "=", epoch)
				.returningAll()
				.executeTakeFirst();
			if (row === undefined) throw changing(id);
			resident.record = openRow(host.vault, row, resident.record);
		} catch (error) {
			throw fromDatabaseError(error, doing);
		}
	});
}

function deadline(state: SandboxState): Date | null {
	const transitional = (TRANSITIONAL as readonly SandboxState[]).includes(state);
	return transitional ? new Date(Date.now() + TRANSITION_MS) : null;
}
