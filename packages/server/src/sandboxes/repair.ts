import type { SandboxState } from "@dormice/protocol";
import type { HostSandbox } from "../engine/engine.ts";

/** What brings a row and what the engine has of it together again. */
export type Repair =
	| "none"
	/** It runs, or dozes: connect to it, and call the row so. */
	| "adopt"
	/** It stands still after a checkpoint that was not committed: let it go on, then adopt it. */
	| "resume"
	/** It stands still in RAM: let it go on, then adopt it. */
	| "thaw"
	/** Its processes are lost: record that; the next turn brings it back. */
	| "fail"
	| "recover"
	/** It was never handed out. */
	| "discard"
	/** A waking that nobody finishes: clear away what there is of it, its generation is whole. */
	| "sleep"
	/** A recovery that nobody finishes: stop its processes, keep its only disk. */
	| "fail_keeping_disk"
	/** It sleeps, and a copy of it still stands on the host. */
	| "clear"
	| "kill";

/** Of a row that nobody works on: what to do, given what the engine has under its id. Pure. */
export function repairOf(
	row: { state: SandboxState; recovering: boolean },
	found: Pick<HostSandbox, "state"> | undefined,
): Repair {
	switch (row.state) {
		case "running":
		case "dozing":
			// Frozen, it dozes: a request thaws it.
			return found?.state === "frozen" ? "adopt" : wakeful(found);
		case "checkpointing":
			return wakeful(found);
		case "creating":
			return "discard";
		case "waking":
			return row.recovering ? "fail_keeping_disk" : "sleep";
		case "failed":
			return "recover";
		case "killing":
			return "kill";
		case "asleep":
			return found === undefined ? "none" : "clear";
		case "gone":
			return "none";
	}
}

function wakeful(found: Pick<HostSandbox, "state"> | undefined): Repair {
	switch (found?.state) {
		case "running":
			return "adopt";
		case "paused":
			return "resume";
		case "frozen":
			return "thaw";
		default:
			return "fail";
	}
}
