import { DormiceError } from "@dormice/protocol";
import type { Sandbox } from "../database/schema.ts";
import { tell } from "../events/record.ts";
import type { Link } from "../guest/link.ts";
import { bestEffort } from "../log.ts";
import { listGenerations } from "./generations.ts";
import type { Host } from "./host.ts";
import type { Resident } from "./resident.ts";
import { type MemoryOrigin, type Origin, start } from "./start.ts";

export function isDamage(error: unknown): boolean {
	return error instanceof DormiceError && error.reason === "generation_corrupt";
}

/** Whether a stored memory image cannot be gone on from, and never will be; its disk may be as good as ever. */
function isUnreadable(error: unknown): boolean {
	return isDamage(error) || (error instanceof DormiceError && error.reason === "generation_incompatible");
}

/**
 * Starts a sandbox from a stored memory, or from the disk stored with it where that memory will never be read again:
 * for who said that the disk will do, or is not there to be asked. Returns what it came from in the end.
 */
export async function startDespiteDamage(
	host: Host,
	sandbox: Sandbox,
	memory: MemoryOrigin,
): Promise<{ link: Link; origin: Origin }> {
	try {
		return { link: await start(host, sandbox, memory), origin: memory };
	} catch (error) {
		if (!isUnreadable(error)) throw error;
		const { generationId } = memory;
		if (isDamage(error)) await markDamaged(host, generationId);
		const disk: Origin = { from: "disk", generationId };
		return { link: await start(host, sandbox, disk), origin: disk };
	}
}

/** Remembers that a stored state is damaged: it no longer counts for the retention, and its history says so. */
export async function markDamaged(host: Host, generationId: string): Promise<void> {
	host.log.error({ generation: generationId }, "a stored state is damaged");
	const marking = host.database
		.updateTable("generations")
		.set({ corrupt: true })
		.where("id", "=", generationId)
		.execute();
	await bestEffort(host.log, `marking ${generationId} as damaged`, marking);
}

/** What to tell whoever wanted to wake a sandbox from a damaged state: what else there is. Recorded as an event. */
export async function offerOthers(
	host: Host,
	resident: Resident,
	generationId: string,
	cause: unknown,
): Promise<DormiceError> {
	await markDamaged(host, generationId);
	const history = await listGenerations(host, resident).catch(() => []);
	const other = history.find(({ id, memory, corrupt }) => id !== generationId && memory && !corrupt);
	await tell(host.database, host.log, resident.id, {
		kind: "generation_corrupt",
		reason: "request",
		detail: { generation: generationId, offered: other === undefined ? "disk" : `disk, ${other.id}` },
	});
	const before =
		other === undefined ? "" : `, or roll it back to ${other.id} of ${other.createdAt.toISOString().slice(0, 19)}Z`;
	return new DormiceError(
		"generation_corrupt",
		`The stored memory of sandbox ${resident.id} (${generationId}) is damaged. Connect with memory: false, which boots it from its disk${before}.`,
		{ cause },
	);
}
