import { canMove, DormiceError, type SandboxState, TRANSITIONAL } from "@dormice/protocol";
import { fromDatabaseError, type Queries } from "../database/database.ts";
import type { Sandbox, SandboxChange } from "../database/schema.ts";
import { type NewEvent, record as recordEvent } from "../events/record.ts";
import type { Host } from "./host.ts";
import { changing, type Resident } from "./resident.ts";

/** How long a transitional state may last before the repair loop takes the sandbox over. */
export const TRANSITION_MS = 15 * 60_000;

/** What a move sets besides the state. */
type Changes = Omit<SandboxChange, "id" | "state" | "epoch" | "transitionDeadline">;

export interface Move {
	to: SandboxState;
	set?: Changes;
	event?: NewEvent;
	/** Further writes of the same transaction. */
	also?: (queries: Queries) => Promise<void>;
}

/**
 * Moves a sandbox's row, if it is still as we know it, and the resident with it.
 * Throws `state_conflict` when somebody else moved it meanwhile, `database_unavailable` when nobody can say.
 */
export async function move(host: Host, resident: Resident, { to, set = {}, event, also }: Move): Promise<void> {
	const from = resident.record;
	if (!canMove(from.state, to)) {
		throw new DormiceError("internal", `A sandbox cannot move from '${from.state}' to '${to}'.`);
	}
	const change = { ...set, state: to, epoch: from.epoch + 1, transitionDeadline: deadline(to) };
	const compareAndSet = (queries: Queries): Promise<Sandbox | undefined> =>
		queries
			.updateTable("sandboxes")
			.set(change)
			.where("id", "=", from.id)
			.where("state", "=", from.state)
			.where("epoch", "=", from.epoch)
			.returningAll()
			.executeTakeFirst();

	let moved: Sandbox | undefined;
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
	resident.record = moved;
}

function deadline(state: SandboxState): Date | null {
	const transitional = (TRANSITIONAL as readonly SandboxState[]).includes(state);
	return transitional ? new Date(Date.now() + TRANSITION_MS) : null;
}
