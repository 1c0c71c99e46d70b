import { join } from "node:path";
import { fromDatabaseError } from "../database/database.ts";
import type { Host } from "../sandboxes/host.ts";
import { eventEntry, LEVELS, type Level, type LogEntry, parseLine } from "./entry.ts";
import { tailLines } from "./tail.ts";

export interface LogQuery {
	/** Only entries from here on, or before here when reading backward. */
	from?: Date | undefined;
	limit: number;
	direction: "forward" | "backward";
	/** This level and those above it. */
	level?: Level | undefined;
	/** Part of the message. */
	search?: string | undefined;
}

const MAX_EVENTS = 1000;

/** A sandbox's log: what its supervisor wrote, and what happened to it, in one order of time. */
export async function readLog(host: Host, sandboxId: string, query: LogQuery): Promise<LogEntry[]> {
	const [lines, events] = await Promise.all([
		tailLines(join(host.config.dataDir, "logs", "sandboxes", `${sandboxId}.log`)),
		recentEvents(host, sandboxId),
	]);
	// A line without a time is from the time of the one before it.
	let last = events[0]?.timestamp ?? new Date(0);
	const written = lines.map((line) => {
		const entry = parseLine(line, last);
		last = entry.timestamp;
		return entry;
	});
	return choose([...written, ...events], query);
}

/** Filters, sorts and cuts. Pure. */
export function choose(entries: LogEntry[], { from, limit, direction, level, search }: LogQuery): LogEntry[] {
	const forward = direction === "forward";
	const least = LEVELS.indexOf(level ?? "debug");
	const chosen = entries.filter(
		(entry) =>
			LEVELS.indexOf(entry.level) >= least &&
			(search === undefined || entry.message.includes(search)) &&
			(from === undefined || (forward ? entry.timestamp >= from : entry.timestamp <= from)),
	);
	const sign = forward ? 1 : -1;
	return chosen.sort((a, b) => sign * (a.timestamp.getTime() - b.timestamp.getTime())).slice(0, limit);
}

async function recentEvents(host: Host, sandboxId: string): Promise<LogEntry[]> {
	const rows = await host.database
		.selectFrom("events")
		.selectAll()
		.where("sandboxId", "=", sandboxId)
		.orderBy("at", "desc")
		.limit(MAX_EVENTS)
		.execute()
		.catch((error: unknown) => {
			throw fromDatabaseError(error, "reading a sandbox's events");
		});
	return rows.reverse().map(eventEntry);
}
