import { readdir, readFile } from "node:fs/promises";

const SHOWN_CHARACTERS = 80;
const SHOWN_PROCESSES = 16;

/** A process of the sandbox, as /proc has it. */
export interface AliveProcess {
	readonly pid: number;
	readonly parent: number;
	/** The kernel's short name of it. */
	readonly cmd: string;
	/** With the pid, what tells it from a later one of the same number. */
	readonly startTicks: number;
	/** CPU time it used, and what of its children ended and was waited for, in ticks. */
	readonly cpu: { readonly own: number; readonly children: number };
}

/** Of the kernel's account of CPU time, on every architecture. */
const MS_PER_TICK = 10;

/** Reads a /proc/<pid>/stat; undefined for one that is dead and not yet reaped. */
export function parseStat(text: string): AliveProcess | undefined {
	// The name may hold anything, brackets and spaces too.
	const [open, close] = [text.indexOf("("), text.lastIndexOf(")")];
	const [state = "", parent = "", ...rest] = text.slice(close + 2).split(" ");
	if (open < 0 || close < open || state === "Z" || state === "X") return undefined;
	const [user = 0, system = 0, childrenUser = 0, childrenSystem = 0] = rest.slice(9, 13).map(Number);
	return {
		pid: Number(text.slice(0, open)),
		parent: Number(parent),
		cmd: text.slice(open + 1, close),
		startTicks: Number(rest[17] ?? 0),
		cpu: { own: user + system, children: childrenUser + childrenSystem },
	};
}

/** `root` and all that come of it. */
export function family(all: readonly AliveProcess[], root: number): AliveProcess[] {
	const isOurs = lineage(all);
	return all.filter((process) => isOurs(process, ({ pid }) => pid === root));
}

/** What of these is neither one of `own`, nor a child of `helpersOf`, nor a template's or below one. Pure. */
export function startedByClients(
	all: readonly AliveProcess[],
	{ own, helpersOf, template }: { own: ReadonlySet<number>; helpersOf: number; template: Template },
): AliveProcess[] {
	const isBelow = lineage(all);
	return all.filter(
		(process) =>
			!own.has(process.pid) &&
			process.parent !== helpersOf &&
			!isBelow(process, (ancestor) => template.get(ancestor.pid) === ancestor.startTicks),
	);
}

/** Tells whether a process, or one it came of, is such a one. */
function lineage(all: readonly AliveProcess[]) {
	const byPid = new Map(all.map((process) => [process.pid, process]));
	return (process: AliveProcess, matches: (ancestor: AliveProcess) => boolean): boolean => {
		const seen = new Set<number>();
		for (let at: AliveProcess | undefined = process; at && !seen.has(at.pid); at = byPid.get(at.parent)) {
			if (matches(at)) return true;
			seen.add(at.pid);
		}
		return false;
	};
}

/** The processes a template came with: pid → start. */
export type Template = ReadonlyMap<number, number>;

/** Tells what clients started from what was there before them: init, the spawner, us and our helpers, a template's own. */
export class Alive {
	readonly #root: number;
	readonly #spawner: number;
	#template: Template = new Map();

	/** `root`: the process everything else here comes from or falls to, the sandbox's init. */
	constructor(options: { root: number; spawner: number }) {
		this.#root = options.root;
		this.#spawner = options.spawner;
	}

	static async open(spawner: number): Promise<Alive> {
		const text = await readFile(`/proc/${spawner}/stat`, "utf8").catch(() => "");
		return new Alive({ root: parseStat(text)?.parent ?? 1, spawner });
	}

	/** What runs now came with the template: called before a client can have started anything. */
	async adoptTemplate(): Promise<void> {
		this.#template = new Map((await this.byClients()).map(({ pid, startTicks }) => [pid, startTicks]));
	}

	/** The processes that clients started, and what those started, orphans too. */
	async byClients(): Promise<AliveProcess[]> {
		return (await this.look()).byClients;
	}

	/**
	 * The same, the CPU time used in here by all but ourselves, in milliseconds, of what lives and what lived, and the
	 * processes that used most.
	 */
	async look(): Promise<{ byClients: AliveProcess[]; cpuMs: number; busiest: CpuOf[] }> {
		const all = family(await readAll(), this.#root);
		const own = new Set([this.#root, this.#spawner, process.pid]);
		const byClients = startedByClients(all, { own, helpersOf: process.pid, template: this.#template });
		return { byClients, cpuMs: usedBesides(own, all), busiest: busiest(all) };
	}
}

/** CPU time that a process used since it began. */
export interface CpuOf {
	readonly pid: number;
	readonly cmd: string;
	readonly cpuMs: number;
}

/** The processes that used most, ourselves by our own name. */
function busiest(all: readonly AliveProcess[]): CpuOf[] {
	return all
		.toSorted((a, b) => b.cpu.own - a.cpu.own)
		.slice(0, SHOWN_PROCESSES)
		.map(({ pid, cmd, cpu }) => ({ pid, cmd: pid === process.pid ? "supervisor" : cmd, cpuMs: cpu.own * MS_PER_TICK }));
}

/** CPU time of all but `own`, whose ended children count. Pure. */
export function usedBesides(own: ReadonlySet<number>, all: readonly AliveProcess[]): number {
	const ticks = all.map(({ pid, cpu }) => cpu.children + (own.has(pid) ? 0 : cpu.own));
	return ticks.reduce((sum, each) => sum + each, 0) * MS_PER_TICK;
}

/** What a process is running as, its beginning at least; undefined when it is gone or hides it. */
export async function commandLine(pid: number): Promise<string | undefined> {
	const text = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
	const line = text.slice(0, SHOWN_CHARACTERS).replaceAll("\0", " ").trim();
	return line === "" ? undefined : line;
}

async function readAll(): Promise<AliveProcess[]> {
	const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
	const all = await Promise.all(
		pids.map(async (pid) => {
			const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
			return text === undefined ? undefined : parseStat(text);
		}),
	);
	return all.filter((process) => process !== undefined);
}
