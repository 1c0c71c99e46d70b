import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { command } from "../command.ts";
import type { Host } from "../host.ts";
import { type Extent, readExtents, type Share, shares } from "./extents.ts";

export type UsageGroup = { name: string; generationIds: string[]; sandboxIds: string[] };

const MAX_BYTES = 64 << 20;
const WITHIN_MS = 60_000;

/**
 * What groups of generations and disks take of the pool. Blocks that nobody of the groups asked about refers to are not
 * looked at: ask about everything for `ownBytes` to be true.
 */
export async function usage(host: Host, groups: readonly UsageGroup[]): Promise<(Share & { name: string })[]> {
	const holders = new Map<string, number>();
	const sets = groups.map(({ generationIds, sandboxIds }) => {
		const paths = [
			...generationIds.map((id) => host.generations.dir(id)),
			...sandboxIds.map((id) => host.disks.path(id)),
		];
		return new Set(paths.map((path) => holderOf(path)));
	});
	const extents: Extent[] = [];
	for (const [path, holder] of holders) extents.push(...(await extentsIn(path, holder)));
	const counted = shares(extents, sets);
	return groups.map(({ name }, i) => ({ name, ...(counted[i] ?? { bytes: 0, ownBytes: 0 }) }));

	function holderOf(path: string): number {
		const known = holders.get(path) ?? holders.size;
		holders.set(path, known);
		return known;
	}
}

/** Of all files in a directory and those in it. One that goes meanwhile has none. */
async function extentsIn(dir: string, holder: number): Promise<Extent[]> {
	if (!existsSync(dir)) return [];
	const entries = await readdir(dir, { recursive: true, withFileTypes: true });
	const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
	if (files.length === 0) return [];
	const script = 'filefrag -v -b1 "$@" 2>/dev/null || true';
	const printed = await command("sh", ["-c", script, "sh", ...files], { maxBytes: MAX_BYTES, timeoutMs: WITHIN_MS });
	return readExtents(printed, holder);
}
