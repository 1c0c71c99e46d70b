import type { Progress } from "../progress.ts";
import type { PlatformPaths } from "./paths.ts";

/** A program that the keeper keeps alive. Plain data, so that a test can put any other program in its place. */
export interface Service {
	name: string;
	/** What starting it is called in the progress: "Start the engine". */
	title: string;
	command: readonly string[];
	env: Record<string, string>;
	stopSignal: NodeJS.Signals;
	/** How long it may take to end by itself. */
	stopGraceMs: number;
	/** `ready` when the service can be used, else what is missing, in words. Called again and again until then. */
	readiness(): Promise<string>;
	/** What must be there before it is started. */
	beforeStart?(progress: Progress, signal: AbortSignal): Promise<void>;
	/** Gives back what it holds, while it still runs. */
	beforeStop?(): Promise<void>;
}

/** Where the keeper remembers the process of a service, to adopt it after the keeper itself was killed. */
export function recordPath(paths: PlatformPaths, name: string): string {
	return `${paths.run}/${name}.json`;
}

export function logPath(paths: PlatformPaths, name: string): string {
	return `${paths.logs}/${name}.log`;
}
