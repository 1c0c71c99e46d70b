import { DormiceError } from "@dormice/protocol";

/** `idle`: not while a process lives that a client started. `always`: whatever waits inside, a timer too. */
export type DozeMode = "idle" | "always";

/** How a sandbox rests when nobody needs it. */
export interface Rest {
	doze: DozeMode;
	/** Without requests, streams and work for this long it is frozen in RAM. 0: never. */
	dozeAfterMs: number;
	/** After dozing for this long it is put to sleep. 0: never. */
	sleepAfterMs: number;
}

/** Where a client says it that knows only E2B's fields: in the sandbox's metadata. */
const KEYS = {
	doze: "dormice.doze",
	dozeAfterMs: "dormice.dozeAfterMs",
	sleepAfterMs: "dormice.sleepAfterMs",
} as const;
/** Shorter, and a sandbox would freeze between two requests of one client. */
const MIN_DOZE_AFTER_MS = 100;
const MAX_MS = 2 ** 31 - 1;

interface Sources {
	/** What the client said, in fields of ours. */
	asked: Partial<Rest>;
	metadata: Readonly<Record<string, string>>;
	template: { doze: DozeMode | null; dozeAfterMs: number | null; sleepAfterMs: number | null };
	platform: Rest;
}

/** How a new sandbox rests. The first who says something is heard. Throws `invalid_argument`. */
export function restOf({ asked, metadata, template, platform }: Sources): Rest {
	const rest: Rest = {
		doze: asked.doze ?? modeIn(metadata) ?? template.doze ?? platform.doze,
		dozeAfterMs:
			asked.dozeAfterMs ?? durationIn(metadata, KEYS.dozeAfterMs) ?? template.dozeAfterMs ?? platform.dozeAfterMs,
		sleepAfterMs:
			asked.sleepAfterMs ?? durationIn(metadata, KEYS.sleepAfterMs) ?? template.sleepAfterMs ?? platform.sleepAfterMs,
	};
	checkDozeAfter(rest.dozeAfterMs);
	return rest;
}

/** Throws `invalid_argument`. */
export function checkDozeAfter(ms: number): void {
	if (ms === 0 || ms >= MIN_DOZE_AFTER_MS) return;
	throw new DormiceError("invalid_argument", `dozeAfterMs: give at least ${MIN_DOZE_AFTER_MS}, or 0 for never`);
}

function modeIn(metadata: Sources["metadata"]): DozeMode | undefined {
	const value = metadata[KEYS.doze];
	if (value === undefined || value === "idle" || value === "always") return value;
	throw new DormiceError("invalid_argument", `metadata ${KEYS.doze}: give 'idle' or 'always', not '${value}'`);
}

function durationIn(metadata: Sources["metadata"], key: string): number | undefined {
	const value = metadata[key];
	if (value === undefined) return undefined;
	const duration = Number(value);
	if (/^\d+$/.test(value) && duration <= MAX_MS) return duration;
	throw new DormiceError("invalid_argument", `metadata ${key}: give whole milliseconds, not '${value.slice(0, 40)}'`);
}
