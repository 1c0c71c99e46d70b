import { DormiceError } from "@dormice/protocol";

/** How many stored states of a sandbox are kept besides those that something starts from. */
export interface Retention {
	/** The newest of those that the platform made by itself: by pauses, snapshots, forks. */
	last: number;
	/** The newest of those that somebody asked for, or that a rollback replaced. */
	checkpoints: number;
	/** The newest of each of the last days (UTC), this many. */
	daily: number;
}

/** Where a client says it that knows only E2B's fields: in the sandbox's metadata. */
const KEYS = { last: "dormice.keepLast", checkpoints: "dormice.keepCheckpoints", daily: "dormice.keepDaily" } as const;
const MOST = 10_000;

/** What a new sandbox says of its retention, in fields of ours or else in its metadata. Throws `invalid_argument`. */
export function retentionAsked(
	asked: Partial<Retention>,
	metadata: Readonly<Record<string, string>>,
): Partial<Retention> {
	const found: Partial<Retention> = {};
	for (const [name, key] of Object.entries(KEYS) as [keyof Retention, string][]) {
		const value = metadata[key];
		if (asked[name] !== undefined) found[name] = asked[name];
		else if (value !== undefined) found[name] = numberIn(key, value);
	}
	return found;
}

function numberIn(key: string, value: string): number {
	if (/^\d{1,5}$/.test(value) && Number(value) <= MOST) return Number(value);
	throw new DormiceError("invalid_argument", `metadata ${key}: give a number from 0 to ${MOST}`);
}

/** A stored state, as far as its keeping is concerned. */
export interface Stored {
	id: string;
	reason: string;
	createdAt: Date;
	corrupt: boolean;
	/** A sandbox, template or snapshot starts from it. */
	used: boolean;
}

/** Why a generation is there. A checkpoint is somebody's wish; the rest the platform made in passing. */
export type GenerationReason = "template" | "pause" | "checkpoint" | "snapshot" | "fork" | "rollback";

/** Which states in the history of one sandbox are kept, and why. Pure. */
export function kept(
	history: readonly Stored[],
	retention: Retention,
): Map<string, "used" | "last" | "checkpoint" | "daily"> {
	const why = new Map<string, "used" | "last" | "checkpoint" | "daily">();
	const newestFirst = history.toSorted((a, b) => b.createdAt.getTime() - a.createdAt.getTime());
	for (const { id, used } of newestFirst) if (used) why.set(id, "used");
	const keep = (states: readonly Stored[], reason: "last" | "checkpoint" | "daily") => {
		for (const { id } of states) if (!why.has(id)) why.set(id, reason);
	};
	// What cannot be read does not count for what can.
	const sound = newestFirst.filter(({ corrupt }) => !corrupt);
	const isWished = ({ reason }: Stored) => reason === "checkpoint" || reason === "rollback";
	const wished = sound.filter(isWished);
	keep(wished.slice(0, retention.checkpoints), "checkpoint");
	keep(sound.filter((state) => !isWished(state)).slice(0, retention.last), "last");
	const days = new Map<string, Stored>();
	for (const state of sound) {
		const day = state.createdAt.toISOString().slice(0, 10);
		if (!days.has(day)) days.set(day, state);
	}
	keep([...days.values()].slice(0, retention.daily), "daily");
	return why;
}
