import { DormiceError, newId } from "@dormice/protocol";
import { sql } from "kysely";
import { fromDatabaseError, type Queries } from "../database/database.ts";
import type { Snapshot } from "../database/schema.ts";
import type { Team } from "../identity/identity.ts";
import { bestEffort } from "../log.ts";
import { checkpoint } from "../sandboxes/checkpoint.ts";
import type { Source } from "../sandboxes/create.ts";
import { forkSource } from "../sandboxes/fork.ts";
import { isReferred, release } from "../sandboxes/generations.ts";
import type { Host } from "../sandboxes/host.ts";
import type { Resident } from "../sandboxes/resident.ts";
import { limitsOf } from "../sandboxes/start.ts";
import type { Templates } from "../templates/templates.ts";
import { parseName, parseReference, slugOf } from "./name.ts";

/**
 * Stores a sandbox as it is, for new ones to be made from; it lives longer than the sandbox. A name that is taken gets
 * the new state: those made from it before are left as they are.
 */
export async function takeSnapshot(
	host: Host,
	team: Team,
	resident: Resident,
	given: string | undefined,
): Promise<Snapshot> {
	const named = given === undefined ? undefined : parseName(given, slugOf(team));
	const generation = await checkpoint(host, resident, { reason: "snapshot" });
	host.unfinished.add(generation.id);
	const { id: sandboxId, record } = resident;
	try {
		const { snapshot, replaced } = await host.database.transaction().execute(async (queries) => {
			const before = named === undefined ? [] : await rowsOf(queries, team, named.name);
			const key = { id: before[0]?.id ?? newId("template"), tag: named?.tag ?? "default" };
			const row = {
				...key,
				teamId: team.id,
				name: named?.name ?? null,
				sandboxId,
				templateId: record.templateId,
				generationId: generation.id,
				...limitsOf(record),
				envVars: host.vault.seal(JSON.stringify(record.envVars), variablesPlace(key)),
				createdAt: new Date(),
			};
			const snapshot = await queries
				.insertInto("snapshots")
				.values(row)
				.onConflict((conflict) => conflict.columns(["id", "tag"]).doUpdateSet(row))
				.returningAll()
				.executeTakeFirstOrThrow();
			return { snapshot, replaced: before.find(({ tag }) => tag === row.tag)?.generationId };
		});
		if (replaced !== undefined) await bestEffort(host.log, "deleting a replaced snapshot", release(host, replaced));
		return snapshot;
	} catch (error) {
		if (isReferred(error))
			throw new DormiceError("state_conflict", "The stored state was deleted meanwhile: try again.");
		throw fromDatabaseError(error, "recording a snapshot");
	} finally {
		host.unfinished.delete(generation.id);
	}
}

function rowsOf(queries: Queries, team: Team, name: string): Promise<Snapshot[]> {
	return queries
		.selectFrom("snapshots")
		.selectAll()
		.where("teamId", "=", team.id)
		.where("name", "=", name)
		.forUpdate()
		.execute();
}

/** By id or name, with a tag or without; undefined if the team has none such. */
export async function findSnapshot(host: Host, team: Team, reference: string): Promise<Snapshot | undefined> {
	const wanted = parseReference(reference, slugOf(team));
	if (wanted === undefined) return undefined;
	const { id, name, tag } = wanted;
	return await host.database
		.selectFrom("snapshots")
		.selectAll()
		.where("teamId", "=", team.id)
		.where("tag", "=", tag)
		.where((where) =>
			id === undefined ? where("name", "=", name ?? "") : where.or([where("id", "=", id), where("name", "=", id)]),
		)
		.executeTakeFirst()
		.catch((error: unknown) => {
			throw fromDatabaseError(error, "looking up a snapshot");
		});
}

/** What a sandbox made from this snapshot begins as. Throws `generation_not_found` when it was deleted meanwhile. */
export async function sourceOf(host: Host, templates: Templates, snapshot: Snapshot): Promise<Source> {
	const generation = await host.database
		.selectFrom("generations")
		.select(["id", "isolation", "memory", "accessToken"])
		.where("id", "=", snapshot.generationId)
		.executeTakeFirst()
		.catch((error: unknown) => {
			throw fromDatabaseError(error, "looking up a snapshot's state");
		});
	if (generation === undefined) {
		throw new DormiceError("generation_not_found", "The snapshot was deleted meanwhile.");
	}
	return forkSource(host, templates, snapshot.templateId, generation, limitsOf(snapshot));
}

/** The environment variables of the sandbox that a snapshot was taken of. */
export function variablesOf({ vault }: Host, snapshot: Snapshot): Record<string, string> {
	return JSON.parse(vault.open(snapshot.envVars, variablesPlace(snapshot)));
}

function variablesPlace({ id, tag }: Pick<Snapshot, "id" | "tag">) {
	return { table: "snapshots", column: "env_vars", row: `${id}:${tag}` };
}

/** Names a row; those of one moment are in its order. */
const KEY = sql<string>`id || ':' || tag`;

export interface SnapshotFilter {
	sandboxId?: string | undefined;
	/** An id or a name, with a tag or without. */
	reference?: string | undefined;
}

export interface SnapshotPage {
	limit: number;
	/** The last one of the page before. */
	after?: { createdAt: Date; key: string } | undefined;
}

/** The newest first. */
export async function listSnapshots(
	host: Host,
	team: Team,
	{ sandboxId, reference }: SnapshotFilter,
	{ limit, after }: SnapshotPage,
): Promise<Snapshot[]> {
	let query = host.database.selectFrom("snapshots").selectAll().where("teamId", "=", team.id);
	if (sandboxId !== undefined) query = query.where("sandboxId", "=", sandboxId);
	if (reference !== undefined) {
		const wanted = parseReference(reference, slugOf(team));
		if (wanted === undefined) return [];
		const { id, name, tag, tagged } = wanted;
		query = id === undefined ? query.where("name", "=", name ?? "") : query.where("id", "=", id);
		if (tagged) query = query.where("tag", "=", tag);
	}
	if (after !== undefined) {
		const { createdAt, key } = after;
		query = query.where((where) =>
			where.or([
				where("createdAt", "<", createdAt),
				where.and([where("createdAt", "=", createdAt), where(KEY, ">", key)]),
			]),
		);
	}
	return await query
		.orderBy("createdAt", "desc")
		.orderBy(KEY)
		.limit(limit)
		.execute()
		.catch((error: unknown) => {
			throw fromDatabaseError(error, "listing snapshots");
		});
}

/** Deletes a snapshot, or with an id or name and no tag all of that; false if there is none. What was made from it stays. */
export async function deleteSnapshot(host: Host, team: Team, reference: string): Promise<boolean> {
	const wanted = parseReference(reference, slugOf(team));
	if (wanted === undefined) return false;
	const { id, name, tag, tagged } = wanted;
	let query = host.database.deleteFrom("snapshots").where("teamId", "=", team.id);
	query = id === undefined ? query.where("name", "=", name ?? "") : query.where("id", "=", id);
	if (tagged) query = query.where("tag", "=", tag);
	const deleted = await query
		.returning("generationId")
		.execute()
		.catch((error: unknown) => {
			throw fromDatabaseError(error, "deleting a snapshot");
		});
	for (const { generationId } of deleted) {
		await bestEffort(host.log, `deleting generation ${generationId}`, release(host, generationId));
	}
	return deleted.length > 0;
}
