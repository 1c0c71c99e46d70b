import type { UsageGroup } from "../engine/engine.ts";
import { superfluous } from "./generations.ts";
import type { Host } from "./host.ts";

/** What one thing takes of the pool, in bytes. */
export interface Share {
	id: string;
	/** Stored states in it. */
	generations: number;
	bytes: number;
	/** Of these, what others share. */
	sharedBytes: number;
	/** What would be free without it. */
	freedBytes: number;
}

export interface PoolUsage {
	sandboxes: Share[];
	templates: Share[];
	snapshots: Share[];
	/** What the next collection deletes. */
	superfluous: { generationIds: string[]; bytes: number; freedBytes: number };
	totalBytes: number;
	freeBytes: number;
}

/** What a team has of that. */
export type TeamUsage = Pick<PoolUsage, "sandboxes" | "snapshots" | "superfluous">;

/** What everything takes, with what shares blocks counted where it is shared. Reads every extent: for people to ask, now and then. */
export async function poolUsage(host: Host): Promise<PoolUsage> {
	return await measure(host, () => true);
}

/** What one team has of the pool. The others' is looked at, since it may share blocks, and not told. */
export async function teamUsage(host: Host, teamId: string): Promise<TeamUsage> {
	const { sandboxes, snapshots, superfluous } = await measure(host, (owner) => owner === teamId);
	return { sandboxes, snapshots, superfluous };
}

async function measure(host: Host, isTold: (teamId: string | undefined) => boolean): Promise<PoolUsage> {
	const [rows, snapshots, doomed] = await Promise.all([
		host.database.selectFrom("generations").select(["id", "sandboxId", "templateId"]).execute(),
		host.database.selectFrom("snapshots").select(["id", "tag", "generationId", "teamId"]).execute(),
		superfluous(host),
	]);
	const groups = new Map<string, UsageGroup>();
	const group = (name: string): UsageGroup => {
		const known = groups.get(name) ?? { name, generationIds: [], sandboxIds: [] };
		groups.set(name, known);
		return known;
	};
	const owners = new Map(rows.map(({ id, sandboxId }) => [id, sandboxId]));
	for (const { id, record } of host.table.values()) {
		group(`sandbox ${id}`).sandboxIds.push(id);
		// What a fork began from, in whoever's history that is, is there for its sake too.
		const { generationId } = record;
		if (generationId !== null && owners.get(generationId) !== id)
			group(`sandbox ${id}`).generationIds.push(generationId);
	}
	for (const { id, sandboxId, templateId } of rows) {
		if (sandboxId !== null) group(`sandbox ${sandboxId}`).generationIds.push(id);
		else if (templateId !== null) group(`template ${templateId}`).generationIds.push(id);
		else group("nobody").generationIds.push(id);
	}
	for (const { id, tag, generationId } of snapshots) group(`snapshot ${id}:${tag}`).generationIds.push(generationId);
	const teamOf = new Map<string, string>();
	for (const { id, record } of host.table.values()) teamOf.set(`sandbox ${id}`, record.teamId);
	for (const { id, tag, teamId } of snapshots) teamOf.set(`snapshot ${id}:${tag}`, teamId);
	const told = doomed.filter(({ sandboxId }) => isTold(teamOf.get(`sandbox ${sandboxId}`)));
	group("superfluous").generationIds.push(...told.map(({ id }) => id));
	const usage = await host.engine.usage([...groups.values()]);

	const share = (name: string) => usage.groups.get(name) ?? { bytes: 0, ownBytes: 0 };
	const of = (kind: string): Share[] =>
		[...groups.values()]
			.filter(({ name }) => name.startsWith(`${kind} `) && isTold(teamOf.get(name)))
			.map(({ name, generationIds }) => {
				const { bytes, ownBytes } = share(name);
				const id = name.slice(kind.length + 1);
				const generations = generationIds.length;
				return { id, generations, bytes, sharedBytes: bytes - ownBytes, freedBytes: ownBytes };
			})
			.toSorted((a, b) => b.freedBytes - a.freedBytes);
	const { bytes, ownBytes } = share("superfluous");
	return {
		sandboxes: of("sandbox"),
		templates: of("template"),
		snapshots: of("snapshot"),
		superfluous: { generationIds: group("superfluous").generationIds, bytes, freedBytes: ownBytes },
		totalBytes: usage.poolTotalBytes,
		freeBytes: usage.poolFreeBytes,
	};
}
