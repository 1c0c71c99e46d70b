import type { Generation } from "../engine/engine.ts";
import type { Host } from "./host.ts";
import type { Resident } from "./resident.ts";

type Owner = { sandboxId: string } | { templateId: string };

/** The manifest as a row of its owner. */
export function generationRow(generation: Generation, owner: Owner) {
	return {
		id: generation.id,
		sandboxId: "sandboxId" in owner ? owner.sandboxId : null,
		templateId: "templateId" in owner ? owner.templateId : null,
		parentId: generation.parentId ?? null,
		rootfsId: generation.rootfsId,
		memory: generation.memory,
		isolation: generation.isolation,
		engineVersion: generation.engineVersion,
		guestId: generation.guestId,
		memoryBytes: generation.memoryBytes,
		reason: generation.reason,
		createdAt: generation.createdAt,
	};
}

/** Which generations of a sandbox may go. Today's policy: all but the one it would wake from. */
function retired(ids: readonly string[], newest: string | null): string[] {
	return ids.filter((id) => id !== newest);
}

/** Deletes what the policy no longer keeps. The row goes first: a file without a row is an orphan, and orphans are swept. */
export async function retire(host: Host, resident: Resident): Promise<void> {
	const rows = await host.database
		.selectFrom("generations")
		.select("id")
		.where("sandboxId", "=", resident.id)
		.execute();
	const ids = rows.map(({ id }) => id);
	for (const id of retired(ids, resident.record.generationId)) {
		await host.database.deleteFrom("generations").where("id", "=", id).execute();
		await host.engine.deleteGeneration(id);
	}
}

/** Deletes the generations that the engine has and no row names: what a crash left of unfinished work. */
export async function sweepGenerations(host: Host): Promise<void> {
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
