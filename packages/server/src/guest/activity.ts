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

/** CPU time that a process used since it began. */
export interface ProcessCpu {
	pid: number;
	/** `supervisor` for the one that says this. */
	cmd: string;
	cpuMs: number;
}

export interface Activity {
	processes: ClientProcess[];
	/** The processes that used most CPU. */
	busiest: ProcessCpu[];
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
	const answer = JSON.parse(body) as { processes?: unknown; cpuMs?: unknown; busiest?: unknown };
	const { processes, cpuMs, busiest } = answer;
	if (!Array.isArray(processes)) throw new Error("the supervisor's answer names no processes");
	return {
		processes: processes.slice(0, MAX_PROCESSES).map(parseProcess),
		busiest: Array.isArray(busiest) ? busiest.slice(0, MAX_PROCESSES).map(parseCpu) : [],
		cpuMs: typeof cpuMs === "number" ? cpuMs : undefined,
		hooks: parseHooks(answer),
	};
}

function parseProcess(value: unknown): ClientProcess {
	const { startedAt } = fieldsOf(value);
	const started = new Date(typeof startedAt === "string" ? startedAt : Number.NaN);
	return { ...parseName(value), startedAt: Number.isNaN(started.getTime()) ? undefined : started };
}

function parseCpu(value: unknown): ProcessCpu {
	const { cpuMs } = fieldsOf(value);
	return { ...parseName(value), cpuMs: typeof cpuMs === "number" ? cpuMs : 0 };
}

function parseName(value: unknown): { pid: number; cmd: string } {
	const { pid, cmd } = fieldsOf(value);
	return {
		pid: typeof pid === "number" ? pid : 0,
		cmd: typeof cmd === "string" ? cmd.replace(/[^\x20-\x7e]/g, "?").slice(0, 80) : "?",
	};
}

function fieldsOf(value: unknown): Record<string, unknown> {
	return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
