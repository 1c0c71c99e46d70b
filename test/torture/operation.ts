import type { Random } from "../../packages/server/src/testing/random.ts";
import type { TestPlatform } from "../platform/platform.ts";
import type { Subject } from "./subject.ts";

/** What an operation may use. */
export interface Bench {
	platform: TestPlatform;
	/** All sandboxes under test. */
	alive: readonly Subject[];
	random: Random;
	/** The file of the engine's fault points. */
	faults: string;
	/** How many forks there are to be at the same time, in the operation that makes many. */
	forks: number;
	/** Metadata that every sandbox is made with. */
	metadata: Record<string, string>;
	say: (line: string) => void;
}

/** Something that may happen to a sandbox. It leaves the model as the sandbox must be. */
export interface Operation {
	name: string;
	/** How often it comes, beside the others; with 0 once in a run. */
	weight: number;
	run: (subject: Subject, bench: Bench) => Promise<void>;
}
