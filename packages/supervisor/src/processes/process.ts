import type { Socket } from "node:net";
import { join } from "node:path";
import { DormiceError } from "@dormice/protocol";
import { log } from "../log.ts";
import type { Inherited, Order, Spawned, Spawner } from "../spawner/spawner.ts";
import { Subscription } from "../subscription.ts";
import { type Ending, readWaitStatus } from "./ending.ts";
import type { Journal, Kept } from "./journal.ts";
import { type Note, writeNote } from "./note.ts";
import { type Channel, type Chunk, Output, type Source } from "./output.ts";
import { Transcript } from "./transcript.ts";

export interface ProcessConfig {
	readonly cmd: string;
	readonly args: readonly string[];
	readonly envs: Readonly<Record<string, string>>;
	readonly cwd: string | undefined;
}

/** How much output waits for one slow subscriber before its process has to. */
const BACKLOG_BYTES = 1024 * 1024;
const SIGKILL = 9;

/** A process started through us. It outlives the requests that start, watch and feed it. */
export class GuestProcess {
	readonly pid: number;
	readonly config: ProcessConfig;
	readonly tag: string | undefined;
	readonly startedAt: Date;
	readonly isPty: boolean;
	/** Set once it has ended and all it wrote was delivered. */
	ending: Ending | undefined;
	/** UNIX milliseconds, when `ending` was set. */
	endedAtMs: number | undefined;
	readonly ended: Promise<Ending>;
	/** What it wrote, by offset. */
	readonly transcripts: ReadonlyMap<Channel, Transcript>;
	readonly #spawner: Spawner;
	readonly #spawned: Spawned;
	readonly #output: Output;
	readonly #overdue = new AbortController();
	#hasExited = false;
	#lifetime: NodeJS.Timeout | undefined;

	private constructor(spawner: Spawner, spawned: Spawned, init: ProcessInit) {
		this.pid = spawned.pid;
		this.config = init.note.config;
		this.tag = init.note.tag;
		this.startedAt = init.note.startedAt;
		this.isPty = init.note.isPty;
		this.#spawner = spawner;
		this.#spawned = spawned;
		const source = (channel: Channel, socket: Socket): Source => {
			const key = transcriptKey(this.startedAt, this.pid, channel);
			const options = { journal: init.journal, kept: init.kept?.get(key) };
			const path = join(init.outputDirectory, key);
			return { channel, socket, transcript: new Transcript(path, () => this.#output.regulate(), options) };
		};
		const sources = [source(this.isPty ? "pty" : "stdout", spawned.stdout)];
		if (spawned.stderr) sources.push(source("stderr", spawned.stderr));
		this.transcripts = new Map(sources.map(({ channel, transcript }) => [channel, transcript]));
		this.#output = new Output(sources);
		// A program that closes its input breaks our pipe: writers are told, the process goes on.
		spawned.stdin?.on("error", () => spawned.stdin?.destroy());
		this.ended = this.#watch();
		if (init.note.overdueAtMs !== undefined) this.#limit(init.note.overdueAtMs);
	}

	/** Starts it. Its output waits until `flow`. */
	static async start(spawner: Spawner, order: Order, init: ProcessInit): Promise<GuestProcess> {
		return new GuestProcess(spawner, await spawner.spawn({ ...order, note: writeNote(init.note) }), init);
	}

	/** Goes on with one that a supervisor before this one started. Its output waits until `flow`. */
	static takeOver(spawner: Spawner, inherited: Inherited, init: ProcessInit): GuestProcess {
		return new GuestProcess(spawner, inherited, init);
	}

	/** Those who read its output now. */
	get subscribers(): number {
		const transcripts = [...this.transcripts.values()];
		return this.#output.subscribers + transcripts.reduce((sum, transcript) => sum + transcript.followers, 0);
	}

	/** From the end of the process itself on, while what it wrote may still be on its way. */
	get hasExited(): boolean {
		return this.#hasExited;
	}

	/** Fires when the process has outlived its limit, with `deadline_exceeded`; the process is then being killed. */
	get overdue(): AbortSignal {
		return this.#overdue.signal;
	}

	/** New output from now on. */
	subscribe(): Subscription<Chunk> {
		const subscription = new Subscription<Chunk>(BACKLOG_BYTES, () => this.#output.regulate());
		if (this.ending) subscription.end();
		else this.#output.subscribe(subscription);
		return subscription;
	}

	unsubscribe(subscription: Subscription<Chunk>): void {
		this.#output.unsubscribe(subscription);
	}

	flow(): void {
		this.#output.flow();
	}

	/** Resolves when the process's pipe has taken the bytes. */
	write(channel: "stdin" | "pty", bytes: Uint8Array): Promise<void> {
		if ((channel === "pty") !== this.isPty) {
			const other = this.isPty ? "has a terminal, not a stdin" : "has no terminal";
			throw new DormiceError("internal", `process ${this.pid} ${other}`);
		}
		const { stdin } = this.#spawned;
		if (!stdin?.writable) throw new DormiceError("internal", `stdin of process ${this.pid} is closed`);
		return new Promise((resolve, reject) => {
			stdin.write(bytes, (error) => {
				if (error) reject(new DormiceError("internal", `error writing to stdin: ${error.message}`, { cause: error }));
				else resolve();
			});
		});
	}

	/** End of file for the process. Closing again changes nothing. */
	closeStdin(): void {
		this.#spawned.closeStdin();
	}

	signal(signal: number): Promise<void> {
		return this.#spawner.signal(this.pid, signal);
	}

	resize(size: { columns: number; rows: number }): Promise<void> {
		return this.#spawner.resize(this.pid, size.columns, size.rows);
	}

	async #watch(): Promise<Ending> {
		const { status, unread } = await this.#spawned.exited;
		this.#hasExited = true;
		const ending = readWaitStatus(status);
		clearTimeout(this.#lifetime);
		await this.#output.drain(unread);
		this.#spawned.stdin?.destroy();
		const { release } = this.#spawned;
		if (this.#output.isHeld) release({ isHeld: true });
		void this.#output.closed.then(() => release({ isHeld: false }));
		this.ending = ending;
		this.endedAtMs = Date.now();
		log("info", "process ended", { pid: this.pid, status: ending.status });
		return ending;
	}

	#limit(overdueAtMs: number): void {
		const lifetimeMs = overdueAtMs - this.startedAt.getTime();
		const kill = () => {
			this.#overdue.abort(new DormiceError("deadline_exceeded", `the process ran longer than ${lifetimeMs} ms`));
			this.signal(SIGKILL).catch((error) => log("warn", "cannot kill an overdue process", { error: String(error) }));
		};
		// setTimeout's own limit; nobody waits 24 days.
		this.#lifetime = setTimeout(kill, Math.min(Math.max(0, overdueAtMs - Date.now()), 2 ** 31 - 1));
	}
}

export interface ProcessInit {
	readonly note: Note;
	/** Where its output is kept. */
	readonly outputDirectory: string;
	readonly journal?: Journal | undefined;
	/** What a supervisor before this one had of its output. */
	readonly kept?: ReadonlyMap<string, Kept> | undefined;
}

/** Names a stream of a process, among all there ever were in this sandbox. */
export function transcriptKey(startedAt: Date, pid: number, channel: Channel): string {
	return `${startedAt.getTime()}-${pid}.${channel}`;
}
