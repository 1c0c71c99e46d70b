import { publicState, type SandboxState, TRANSITIONS } from "@dormice/protocol";
import { sql } from "kysely";
import { fromDatabaseError } from "../database/database.ts";
import type { Sandbox } from "../database/schema.ts";
import type { Host } from "./host.ts";

export interface ListFilter {
	teamId: string;
	states: readonly ("running" | "paused")[];
	/** All of these must match. */
	metadata: Record<string, string>;
	/** Inclusive. */
	startedAfter?: Date | undefined;
	templateId?: string | undefined;
}

export interface Page {
	/** By start; those of one moment by id. */
	order: "asc" | "desc";
	limit: number;
	/** The last one of the page before. */
	after?: { startedAt: Date; id: string } | undefined;
}

const ALL_STATES = Object.keys(TRANSITIONS) as SandboxState[];

/** What a list tells: no secrets, which are opened for no list. */
const LISTED = [
	...(["id", "templateId", "state", "unasked", "startedAt", "endAt", "metadata", "isolation"] as const),
	...(["cpuCount", "memoryMib", "diskMib"] as const),
] as const;
export type ListedSandbox = Pick<Sandbox, (typeof LISTED)[number]>;

export async function listSandboxes(host: Host, filter: ListFilter, page: Page): Promise<ListedSandbox[]> {
	const { order, limit, after } = page;
	let query = filtered(host, filter).select(LISTED).orderBy("startedAt", order).orderBy("id", "asc").limit(limit);
	if (after !== undefined) {
		query = query.where((where) =>
			where.or([
				where("startedAt", order === "asc" ? ">" : "<", after.startedAt),
				where.and([where("startedAt", "=", after.startedAt), where("id", ">", after.id)]),
			]),
		);
	}
	return await query.execute().catch((error: unknown) => {
		throw fromDatabaseError(error, "listing sandboxes");
	});
}

export async function countSandboxes(host: Host, filter: ListFilter): Promise<number> {
	const row = await filtered(host, filter)
		.select(({ fn }) => fn.countAll<number>().as("total"))
		.executeTakeFirst()
		.catch((error: unknown) => {
			throw fromDatabaseError(error, "counting sandboxes");
		});
	return row?.total ?? 0;
}

function filtered(host: Host, { teamId, states, metadata, startedAfter, templateId }: ListFilter) {
	const shown = (unasked: boolean) =>
		ALL_STATES.filter((state) => {
			const name = publicState({ state, unasked });
			return name !== undefined && states.includes(name);
		});
	let query = host.database
		.selectFrom("sandboxes")
		.where("teamId", "=", teamId)
		.where((where) =>
			where.or(
				[false, true].map((unasked) =>
					where.and([where("unasked", "=", unasked), where("state", "=", where.fn.any(where.val(shown(unasked))))]),
				),
			),
		);
	if (Object.keys(metadata).length > 0) {
		query = query.where(sql<boolean>`metadata @> ${JSON.stringify(metadata)}::jsonb`);
	}
	if (startedAfter !== undefined) query = query.where("startedAt", ">=", startedAfter);
	if (templateId !== undefined) query = query.where("templateId", "=", templateId);
	return query;
}
