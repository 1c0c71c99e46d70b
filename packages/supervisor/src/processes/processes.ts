import { DormiceError } from "@dormice/protocol";
import { log } from "../log.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import type { Spawner } from "../spawner/spawner.ts";
import type { User } from "../users/users.ts";
import { buildEnvironment } from "./environment.ts";
import { History } from "./history.ts";
import { GuestProcess, type ProcessConfig } from "./process.ts";

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

	constructor(options: { sandbox: Sandbox; spawner: Spawner; path: string; outputDirectory: string }) {
		this.#sandbox = options.sandbox;
		this.#spawner = options.spawner;
		this.#path = options.path;
		this.#outputDirectory = options.outputDirectory;
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
		const process = await GuestProcess.start(this.#spawner, {
			order,
			config,
			tag,
			lifetimeMs,
			outputDirectory: this.#outputDirectory,
		});
		log("info", "process started", { pid: process.pid, cmd: config.cmd, args: config.args, user: user.name, tag });
		this.#byPid.set(process.pid, process);
		this.history.add(process);
		void this.#forgetLater(process);
		return process;
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
		if (!process.ending) return process;
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
