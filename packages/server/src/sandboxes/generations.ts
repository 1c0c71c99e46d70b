import { DormiceError } from "@dormice/protocol";
import { sql } from "kysely";
import pg from "pg";
import { fromDatabaseError } from "../database/database.ts";
import type { GenerationRow } from "../database/schema.ts";
import type { Generation } from "../engine/engine.ts";
import { bestEffort } from "../log.ts";
import type { Host } from "./host.ts";
import type { Resident } from "./resident.ts";
import { kept, type Retention, type Stored } from "./retention.ts";

type Owner = { sandboxId: string; accessToken: string | null; label?: string | undefined } | { templateId: string };

/** Where the token of a stored state's supervisor lies. */
const tokenPlace = (row: string) => ({ table: "generations", column: "access_token", row });

/** The token that the supervisor in a stored state asks for; null: none. */
export function formerToken({ vault }: Host, { id, accessToken }: Pick<GenerationRow, "id" | "accessToken">) {
	return accessToken === null ? null : vault.open(accessToken, tokenPlace(id));
}

/** The manifest as a row of its owner. */
export function generationRow({ vault }: Host, generation: Generation, owner: Owner) {
	const ofSandbox = "sandboxId" in owner ? owner : undefined;
	const token = ofSandbox?.accessToken;
	return {
		id: generation.id,
		sandboxId: ofSandbox?.sandboxId ?? null,
		templateId: "templateId" in owner ? owner.templateId : null,
		parentId: generation.parentId ?? null,
		rootfsId: generation.rootfsId,
		memory: generation.memory,
		isolation: generation.isolation,
		engineVersion: generation.engineVersion,
		guestId: generation.guestId,
		memoryBytes: generation.memoryBytes,
		diskBytes: generation.diskBytes,
		reason: generation.reason,
		label: ofSandbox?.label ?? null,
		accessToken: token == null ? null : vault.seal(token, tokenPlace(generation.id)),
		createdAt: generation.createdAt,
	};
}

/** A state in the history of this sandbox, by its id or, the newest, by what it was called. Throws `generation_not_found`. */
export async function findGeneration(host: Host, resident: Resident, reference: string): Promise<GenerationRow> {
	const row = await host.database
		.selectFrom("generations")
		.selectAll()
		.where((where) => where.or([where("id", "=", reference), where("label", "=", reference)]))
		.where("sandboxId", "=", resident.id)
		.orderBy("createdAt", "desc")
		.executeTakeFirst()
		.catch((error: unknown) => {
			throw fromDatabaseError(error, "looking up a stored state");
		});
	if (row !== undefined) return row;
	throw new DormiceError(
		"generation_not_found",
		`Sandbox ${resident.id} has no stored state '${reference.slice(0, 64)}': see its history.`,
	);
}

/** The history of a sandbox, the newest first. */
export async function listGenerations(host: Host, resident: Resident): Promise<GenerationRow[]> {
	return await host.database
		.selectFrom("generations")
		.selectAll()
		.where("sandboxId", "=", resident.id)
		.orderBy("createdAt", "desc")
		.orderBy("id")
		.execute()
		.catch((error: unknown) => {
			throw fromDatabaseError(error, "listing stored states");
		});
}

/** Every stored state, with whether anything starts from it. */
function selectStored(host: Host) {
	return host.database
		.selectFrom("generations")
		.select([
			"generations.id",
			"generations.sandboxId",
			"generations.reason",
			"generations.createdAt",
			"generations.corrupt",
		])
		.select(
			sql<boolean>`exists (select from sandboxes where generation_id = generations.id)
				or exists (select from template_generations where generation_id = generations.id)
				or exists (select from snapshots where generation_id = generations.id)`.as("used"),
		);
}

/** A generation that nothing needs any more. */
export interface Superfluous {
	id: string;
	sandboxId: string | null;
}

/** What the retention no longer keeps, of one sandbox or of all. */
export async function superfluous(host: Host, sandboxId?: string): Promise<Superfluous[]> {
	let query = selectStored(host)
		.leftJoin("sandboxes", "sandboxes.id", "generations.sandboxId")
		.leftJoin("templates", "templates.id", "sandboxes.templateId")
		.select(["sandboxes.retention as own", "templates.retention as ofTemplate"]);
	if (sandboxId !== undefined) query = query.where("generations.sandboxId", "=", sandboxId);
	const histories = new Map<string, { states: Stored[]; retention: Retention }>();
	const found: Superfluous[] = [];
	for (const { own, ofTemplate, ...row } of await query.execute()) {
		if (row.sandboxId === null) {
			if (!row.used) found.push(row);
			continue;
		}
		const retention = { ...host.config.retention, ...ofTemplate, ...own };
		const history = histories.get(row.sandboxId) ?? { states: [], retention };
		history.states.push(row);
		histories.set(row.sandboxId, history);
	}
	for (const [sandboxId, { states, retention }] of histories) {
		const keep = kept(states, retention);
		found.push(...states.filter(({ id }) => !keep.has(id)).map(({ id }) => ({ id, sandboxId })));
	}
	return found.filter(({ id }) => !host.unfinished.has(id)).map(({ id, sandboxId }) => ({ id, sandboxId }));
}

/** Deletes what the retention no longer keeps, of one sandbox or of all. Answers what it deleted. */
export async function collect(host: Host, sandboxId?: string): Promise<string[]> {
	const deleted: string[] = [];
	for (const { id } of await superfluous(host, sandboxId)) if (await remove(host, id)) deleted.push(id);
	return deleted;
}

/** When what was just stored has most likely been started from: deleting keeps the pool busy. */
const COLLECT_AFTER_MS = 2_000;

/** As `collect` for one sandbox, a moment later and waited for by nobody. */
export function collectSoon(host: Host, sandboxId: string): void {
	setTimeout(
		() => void bestEffort(host.log, `retiring generations of ${sandboxId}`, collect(host, sandboxId)),
		COLLECT_AFTER_MS,
	).unref();
}

/** Deletes one that nothing refers to; false when something does. The row goes first: a file without a row is swept. */
export async function remove(host: Host, id: string): Promise<boolean> {
	try {
		await host.database.deleteFrom("generations").where("id", "=", id).execute();
	} catch (error) {
		if (isReferred(error)) return false;
		throw fromDatabaseError(error, "deleting a stored state");
	}
	// What cannot be deleted now is swept as one that no row names.
	await bestEffort(host.log, `deleting generation ${id}`, host.engine.deleteGeneration(id));
	return true;
}

/** Deletes a generation that lost a referrer, unless something else refers to it or it is in a sandbox's history, which is up to the retention. */
export async function release(host: Host, generationId: string): Promise<void> {
	const row = await host.database
		.selectFrom("generations")
		.select("sandboxId")
		.where("id", "=", generationId)
		.executeTakeFirst();
	if (row !== undefined && row.sandboxId === null) await remove(host, generationId);
}

/** PostgreSQL's foreign_key_violation. */
export function isReferred(error: unknown): boolean {
	return error instanceof pg.DatabaseError && error.code === "23503";
}

/**
 * Deletes the generations in nobody's history that nothing starts from any more, and those that the engine has and no
 * row names: what a crash left of unfinished work.
 */
export async function sweepGenerations(host: Host): Promise<void> {
	const nobodys = await selectStored(host)
		.where("generations.sandboxId", "is", null)
		.where("generations.templateId", "is", null)
		.execute();
	for (const { id, used } of nobodys) if (!used && !host.unfinished.has(id)) await remove(host, id);
	const found = await host.engine.listGenerations();
	// In this order: what was unfinished when the engine answered is either still so now, or its row is there.
	const unfinished = new Set(host.unfinished);
	const rows = await host.database.selectFrom("generations").select("id").execute();
	const named = new Set(rows.map(({ id }) => id));
	for (const { id, reason } of found) {
		if (named.has(id) || unfinished.has(id)) continue;
		host.log.info({ generation: id, reason }, "deleting a generation that nothing names");
		await host.engine.deleteGeneration(id);
	}
}
