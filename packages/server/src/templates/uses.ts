import { ISOLATIONS, type Isolation } from "@dormice/protocol";

/** What counts as lately. */
const WITHIN_MS = 3_600_000;
const MOST = 16;

/** With which isolation the last sandboxes of each template were made. */
export class RecentUses {
	readonly #uses = new Map<string, { isolation: Isolation; atMs: number }[]>();

	note(templateId: string, isolation: Isolation, atMs = performance.now()): void {
		const before = this.#uses.get(templateId) ?? [];
		this.#uses.set(templateId, [...before.slice(1 - MOST), { isolation, atMs }]);
	}

	of(templateId: string, nowMs = performance.now()): Isolation[] {
		const uses = this.#uses.get(templateId) ?? [];
		return uses.filter(({ atMs }) => nowMs - atMs < WITHIN_MS).map(({ isolation }) => isolation);
	}
}

/** How `count` spares are shared out among the isolations used lately, the more used ones first. Pure. */
export function shares(recent: readonly Isolation[], count: number): Map<Isolation, number> {
	const uses = (isolation: Isolation) => recent.filter((one) => one === isolation).length;
	const ranked = ISOLATIONS.filter((isolation) => uses(isolation) > 0).toSorted((a, b) => uses(b) - uses(a));
	const shared = new Map<Isolation, number>();
	for (let i = 0; i < count && ranked.length > 0; i++) {
		const isolation = ranked[i % ranked.length] as Isolation;
		shared.set(isolation, (shared.get(isolation) ?? 0) + 1);
	}
	return shared;
}
