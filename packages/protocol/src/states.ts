/**
 * The life of a sandbox, one table. Server, SDK and CLI read the same one.
 * `from` → the states it may move to. Every move is a compare-and-set on the row.
 */
export const TRANSITIONS = {
	creating: ["running", "failed", "killing"],
	running: ["dozing", "checkpointing", "failed", "killing"],
	dozing: ["running", "checkpointing", "failed", "killing"],
	checkpointing: ["asleep", "running", "failed", "killing"],
	asleep: ["waking", "killing"],
	waking: ["running", "asleep", "failed", "killing"],
	// Found without its processes after a crash: it comes back from its disk.
	failed: ["waking", "killing"],
	killing: ["gone"],
	gone: [],
} as const satisfies Record<string, readonly string[]>;

export type SandboxState = keyof typeof TRANSITIONS;

/** Whether the table allows this move. */
export function canMove(from: SandboxState, to: SandboxState): boolean {
	return (TRANSITIONS[from] as readonly SandboxState[]).includes(to);
}

/** States that somebody is working on: each has an owner and a deadline, after which it is repaired. */
export const TRANSITIONAL = ["creating", "checkpointing", "waking", "killing"] as const;

/** What of a sandbox decides how it reads. `unasked`: it sleeps, or falls asleep, by the platform's own rules. */
export interface PublicView {
	state: SandboxState;
	unasked: boolean;
}

/**
 * What clients of the API see. What the platform does by itself is invisible: a sandbox that dozes, or that was put to
 * sleep `unasked`, answers requests and reads as running. One in the middle of pausing is listed as paused.
 */
export function publicState({ state, unasked }: PublicView): "running" | "paused" | undefined {
	switch (state) {
		case "running":
		case "dozing":
		case "waking":
		case "failed":
			return "running";
		case "checkpointing":
		case "asleep":
			return unasked ? "running" : "paused";
		default:
			return undefined;
	}
}
