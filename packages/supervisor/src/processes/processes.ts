import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { DormiceError } from "@dormice/protocol";
import { bestEffort, log } from "../log.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import { type Inherited, ignoreOutput, type Spawner } from "../spawner/spawner.ts";
import type { User } from "../users/users.ts";
import { buildEnvironment } from "./environment.ts";
import { History } from "./history.ts";
import { Journal, type Kept } from "./journal.ts";
import { readNote } from "./note.ts";
import { GuestProcess, type ProcessConfig, transcriptKey } from "./process.ts";

export type Selector = { readonly pid: number } | { readonly tag: string };

export interface StartOptions {
	readonly config: ProcessConfig;
	readonly user: User;
	readonly tag?: string | undefined;
	readonly stdin: boolean;
	readonly pty?: { readonly columns: number; readonly rows: number } | undefined;
	/** After this long its process group is killed. */
	readonly lifetimeMs?: number | undefined;
}

export interface ProcessesOptions {
	readonly sandbox: Sandbox;
	readonly spawner: Spawner;
	/** The PATH that processes begin with. */
	readonly path: string;
	readonly outputDirectory: string;
	/** In memory: for what another supervisor is to find. */
	readonly runDirectory: string;
}

const JOURNAL = ".output-journal";

/** How long the end of a process can still be asked for. */
const REMEMBER_MS = 30_000;

/** Every process started through us: those that run, and for a while those that have ended. */
export class Processes {
	readonly #sandbox: Sandbox;
	readonly #spawner: Spawner;
	readonly #path: string;
	readonly #outputDirectory: string;
	readonly #byPid = new Map<number, GuestProcess>();
	/** Also those that ended longer ago. */
	readonly history = new History();

	readonly #journalPath: string;
	readonly #journal: Journal;

	private constructor(options: ProcessesOptions) {
		this.#sandbox = options.sandbox;
		this.#spawner = options.spawner;
		this.#path = options.path;
		this.#outputDirectory = options.outputDirectory;
		this.#journalPath = join(options.runDirectory, JOURNAL);
		this.#journal = new Journal(this.#journalPath);
	}

	/** With those that a supervisor before this one had, if there was one. */
	static async open(options: ProcessesOptions): Promise<Processes> {
		const processes = new Processes(options);
		const kept = Journal.recall(processes.#journalPath);
		for (const inherited of await options.spawner.inherit()) processes.#takeOver(inherited, kept);
		processes.#journal.compact();
		await bestEffort("delete old output", processes.#deleteOldOutput());
		return processes;
	}

	async start(options: StartOptions): Promise<GuestProcess> {
		const { config, user, tag, stdin, pty, lifetimeMs } = options;
		refuseNul([config.cmd, ...config.args, ...Object.entries(config.envs).flat()]);
		if (config.cmd === "") throw new DormiceError("invalid_argument", "the command is empty");
		const environment = buildEnvironment({
			path: this.#path,
			user,
			sandbox: this.#sandbox.envs,
			request: config.envs,
			fixed: this.#sandbox.fixedEnvs,
		});
		const cwd = this.#sandbox.path(config.cwd ?? "", user);
		const { uid, gid, groups } = user;
		const order = { file: config.cmd, args: config.args, environment, cwd, uid, gid, groups, stdin, pty };
		const startedAt = new Date();
		const overdueAtMs = lifetimeMs === undefined ? undefined : startedAt.getTime() + lifetimeMs;
		const note = { config, tag, startedAt, isPty: pty !== undefined, overdueAtMs };
		const init = { note, outputDirectory: this.#outputDirectory, journal: this.#journal };
		const process = await GuestProcess.start(this.#spawner, order, init);
		log("info", "process started", { pid: process.pid, cmd: config.cmd, args: config.args, user: user.name, tag });
		this.#add(process);
		return process;
	}

	#add(process: GuestProcess): void {
		this.#byPid.set(process.pid, process);
		this.history.add(process);
		void this.#forgetLater(process);
	}

	#takeOver(inherited: Inherited, kept: ReadonlyMap<string, Kept>): void {
		const { pid } = inherited;
		const note = readNote(inherited.note);
		// A hook's, or one whose output is over.
		if (note === undefined) {
			ignoreOutput(inherited);
			return;
		}
		// Where it is not known how much of its output somebody has read, it is another process to who asks by its start.
		const isKnown = kept.has(transcriptKey(note.startedAt, pid, note.isPty ? "pty" : "stdout"));
		const startedAt = isKnown ? note.startedAt : new Date();
		const init = { note: { ...note, startedAt }, outputDirectory: this.#outputDirectory, journal: this.#journal, kept };
		const process = GuestProcess.takeOver(this.#spawner, inherited, init);
		log("info", "process taken over", { pid, cmd: note.config.cmd });
		this.#add(process);
		// Nobody may come to read it, and it is not to wait for that.
		process.flow();
	}

	/** Files of processes that only a supervisor before us knew. */
	async #deleteOldOutput(): Promise<void> {
		const ours = [...this.#byPid.values()].map(({ pid, startedAt }) => `${startedAt.getTime()}-${pid}.`);
		for (const name of await readdir(this.#outputDirectory).catch(() => []))
			if (!ours.some((prefix) => name.startsWith(prefix))) await rm(join(this.#outputDirectory, name), { force: true });
	}

	/** Throws `process_not_found`. */
	find(selector: Selector): GuestProcess {
		if ("pid" in selector) {
			const process = this.#byPid.get(selector.pid);
			if (process) return process;
			throw new DormiceError("process_not_found", `process with pid ${selector.pid} not found`);
		}
		const tagged = [...this.#byPid.values()].filter((process) => process.tag === selector.tag);
		const process = tagged.find((candidate) => !candidate.ending) ?? tagged.at(-1);
		if (process) return process;
		throw new DormiceError("process_not_found", `process with tag ${selector.tag} not found`);
	}

	/** As `find`, but only what still runs. */
	findRunning(selector: Selector): GuestProcess {
		const process = this.find(selector);
		if (!process.hasExited) return process;
		throw new DormiceError("process_not_found", `process with pid ${process.pid} not found`);
	}

	running(): GuestProcess[] {
		return [...this.#byPid.values()].filter((process) => !process.ending);
	}

	async #forgetLater(process: GuestProcess): Promise<void> {
		await process.ended;
		setTimeout(() => {
			// The kernel may have given the number to another by now.
			if (this.#byPid.get(process.pid) === process) this.#byPid.delete(process.pid);
		}, REMEMBER_MS).unref();
	}
}

function refuseNul(strings: readonly string[]): void {
	if (strings.some((text) => text.includes("\0"))) {
		throw new DormiceError("invalid_argument", "a command cannot contain a NUL byte");
	}
}
