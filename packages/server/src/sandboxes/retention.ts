/** How many stored states of a sandbox are kept besides those that something starts from. */
export interface Retention {
	/** The newest of those that the platform made by itself: by pauses, snapshots, forks. */
	last: number;
	/** The newest of those that somebody asked for, or that a rollback replaced. */
	checkpoints: number;
	/** The newest of each of the last days (UTC), this many. */
	daily: number;
}

export const RETENTION: Retention = { last: 2, checkpoints: 100, daily: 0 };

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
