import { isObject, stringList, stringMap, text } from "../http/json.ts";
import type { ProcessConfig } from "./process.ts";

/** What is known of a process besides what the spawner knows: it keeps this for a supervisor that takes our place. */
export interface Note {
	readonly config: ProcessConfig;
	readonly tag: string | undefined;
	readonly startedAt: Date;
	readonly isPty: boolean;
	/** UNIX milliseconds at which it is killed. */
	readonly overdueAtMs: number | undefined;
}

export function writeNote({ config, tag, startedAt, isPty, overdueAtMs }: Note): string {
	return JSON.stringify({ ...config, tag, startedMs: startedAt.getTime(), isPty, overdueAtMs });
}

/** Undefined when it is none. */
export function readNote(note: string): Note | undefined {
	if (note === "") return undefined;
	const told: unknown = JSON.parse(note);
	if (!isObject(told) || typeof told.startedMs !== "number") return undefined;
	const { startedMs, isPty, overdueAtMs } = told;
	return {
		config: {
			cmd: text(told, "cmd") ?? "",
			args: stringList(told, "args"),
			envs: stringMap(told, "envs") ?? {},
			cwd: text(told, "cwd"),
		},
		tag: text(told, "tag"),
		startedAt: new Date(startedMs),
		isPty: isPty === true,
		overdueAtMs: typeof overdueAtMs === "number" ? overdueAtMs : undefined,
	};
}
