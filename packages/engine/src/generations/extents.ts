/** A run of bytes in the pool, and which of several holders refers to it. */
export type Extent = { start: number; length: number; holder: number };

/** What a set of holders takes together, and what of that nobody else refers to. */
export type Share = { bytes: number; ownBytes: number };

/** The extents that `filefrag -v -b1` prints of one file or several. Pure. */
export function readExtents(printed: string, holder: number): Extent[] {
	const extents: Extent[] = [];
	for (const line of printed.split("\n")) {
		const [, from, length, flags = ""] = /^\s*\d+:\s*\d+\.\.\s*\d+:\s*(\d+)\.\.\s*\d+:\s*(\d+):(.*)$/.exec(line) ?? [];
		// What lies in the tree itself, or nowhere yet, is no block of its own.
		if (from === undefined || /inline|delalloc|unknown_loc/.test(flags)) continue;
		extents.push({ start: Number(from), length: Number(length), holder });
	}
	return extents;
}

/** For each group of holders, what it takes. A byte that two of a group share counts once. Pure. */
export function shares(extents: readonly Extent[], groups: readonly ReadonlySet<number>[]): Share[] {
	const result = groups.map(() => ({ bytes: 0, ownBytes: 0 }));
	const groupsOf = new Map<number, number[]>();
	for (const [index, group] of groups.entries()) {
		for (const holder of group) groupsOf.set(holder, [...(groupsOf.get(holder) ?? []), index]);
	}
	const edges = extents.flatMap(({ start, length, holder }) => [
		{ at: start, holder, by: 1 },
		{ at: start + length, holder, by: -1 },
	]);
	edges.sort((a, b) => a.at - b.at);
	const present = new Map<number, number>();
	let since = 0;
	for (const { at, holder, by } of edges) {
		if (at > since && present.size > 0) count(at - since);
		since = at;
		const times = (present.get(holder) ?? 0) + by;
		if (times === 0) present.delete(holder);
		else present.set(holder, times);
	}
	return result;

	function count(length: number): void {
		const holders = new Map<number, number>();
		for (const holder of present.keys()) {
			for (const group of groupsOf.get(holder) ?? []) holders.set(group, (holders.get(group) ?? 0) + 1);
		}
		for (const [group, number] of holders) {
			const share = result[group];
			if (share === undefined) continue;
			share.bytes += length;
			if (number === present.size) share.ownBytes += length;
		}
	}
}
