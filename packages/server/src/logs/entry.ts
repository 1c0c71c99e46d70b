import type { EventRow } from "../database/schema.ts";

export const LEVELS = ["debug", "info", "warn", "error"] as const;
export type Level = (typeof LEVELS)[number];

/** One line of a sandbox's log, from inside it or about it. */
export interface LogEntry {
	timestamp: Date;
	level: Level;
	message: string;
	fields: Record<string, string>;
}

const MAX_MESSAGE = 4096;
const MAX_FIELDS = 32;

/**
 * A line that the guest wrote. Whoever is root in there writes what they like, so anything is read, nothing is believed,
 * and what is no JSON of ours is a message as it stands. `fallback` dates a line that has no time of its own.
 */
export function parseLine(line: string, fallback: Date): LogEntry {
	const plain: LogEntry = { timestamp: fallback, level: "info", message: line.slice(0, MAX_MESSAGE), fields: {} };
	if (!line.startsWith("{")) return plain;
	let parsed: Record<string, unknown>;
	try {
		parsed = JSON.parse(line) as Record<string, unknown>;
	} catch {
		return plain;
	}
	const { time, level, message, fields } = parsed;
	const timestamp = new Date(typeof time === "string" || typeof time === "number" ? time : Number.NaN);
	return {
		timestamp: Number.isNaN(timestamp.getTime()) ? fallback : timestamp,
		level: LEVELS.find((known) => known === level) ?? "info",
		message: typeof message === "string" ? message.slice(0, MAX_MESSAGE) : plain.message,
		fields: asFields(fields),
	};
}

function asFields(fields: unknown): Record<string, string> {
	if (typeof fields !== "object" || fields === null) return {};
	const entries = Object.entries(fields).slice(0, MAX_FIELDS);
	return Object.fromEntries(
		entries.map(([name, value]) => [
			name.slice(0, 128),
			(typeof value === "string" ? value : (JSON.stringify(value) ?? "")).slice(0, MAX_MESSAGE),
		]),
	);
}

const SENTENCES: Record<string, string> = {
	created: "The sandbox was created",
	paused: "The sandbox was paused",
	fell_asleep: "Nobody used the sandbox: it was put to sleep",
	pause_failed: "Pausing failed; the sandbox runs on",
	woken: "The sandbox was woken",
	wake_failed: "Waking failed; the sandbox is woken anew, now or when somebody needs it",
	crashed: "The sandbox's processes were lost",
	recovered: "The sandbox was brought back",
	recovery_failed: "Bringing the sandbox back failed; it is tried again",
	repair_failed: "Repairing the sandbox keeps failing; it is tried again, less and less often",
	spinning: "A process has used a whole CPU since the sandbox woke",
	disk_repaired: "The sandbox's disk had errors, which were repaired before it was used",
	killed: "The sandbox was killed",
};

const WARNINGS: ReadonlySet<string> = new Set(["crashed", "spinning", "disk_repaired"]);

/** An event as a line of the log. */
export function eventEntry({ at, kind, reason, durationMs, detail }: EventRow): LogEntry {
	return {
		timestamp: at,
		level: kind.endsWith("_failed") || WARNINGS.has(kind) ? "warn" : "info",
		message: SENTENCES[kind] ?? kind,
		fields: {
			logger: "dormice",
			event: kind,
			reason,
			...(durationMs === null ? {} : { durationMs: String(durationMs) }),
			...detail,
		},
	};
}
