import { parseHooks } from "./hooks.ts";
import type { Link } from "./link.ts";
import { callSupervisor } from "./supervisor.ts";

/** A process that a client started, or one that came of it. */
export interface ClientProcess {
	pid: number;
	cmd: string;
	/** Undefined for one that the supervisor did not start itself. */
	startedAt: Date | undefined;
}

export interface Activity {
	processes: ClientProcess[];
	/** CPU time that all inside but the supervisor used since it booted; undefined when it does not say. */
	cpuMs: number | undefined;
	/** The hooks it has. */
	hooks: string[];
}

const TIMEOUT_MS = 2_000;
const MAX_PROCESSES = 100;

/**
 * What goes on inside at clients' wish. Throws when the supervisor does not say. The guest may say what it likes: it can
 * keep itself awake, or be put to rest for what it hid.
 */
export async function readActivity(link: Link): Promise<Activity> {
	const { status, body } = await callSupervisor(link, {
		method: "GET",
		path: "/dormice/activity",
		timeoutMs: TIMEOUT_MS,
	});
	if (status !== 200) throw new Error(`the supervisor answered ${status}`);
	return parseActivity(body);
}

export function parseActivity(body: string): Activity {
	const answer = JSON.parse(body) as { processes?: unknown; cpuMs?: unknown };
	const { processes, cpuMs } = answer;
	if (!Array.isArray(processes)) throw new Error("the supervisor's answer names no processes");
	return {
		processes: processes.slice(0, MAX_PROCESSES).map(parseProcess),
		cpuMs: typeof cpuMs === "number" ? cpuMs : undefined,
		hooks: parseHooks(answer),
	};
}

function parseProcess(value: unknown): ClientProcess {
	const { pid, cmd, startedAt } = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
	const started = new Date(typeof startedAt === "string" ? startedAt : Number.NaN);
	return {
		pid: typeof pid === "number" ? pid : 0,
		cmd: typeof cmd === "string" ? cmd.replace(/[^\x20-\x7e]/g, "?").slice(0, 80) : "?",
		startedAt: Number.isNaN(started.getTime()) ? undefined : started,
	};
}
