import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/**
 * A lock between processes: the kernel's own (flock), so that it goes with its holder however that ends.
 * Node has no flock, so a child holds it: `cat`, which ends when our end of its input does.
 */
export class Lock implements AsyncDisposable {
	readonly #holder: ChildProcess;

	private constructor(holder: ChildProcess) {
		this.#holder = holder;
	}

	/** Takes the lock, or answers `undefined` when somebody has it. */
	static async tryAcquire(path: string): Promise<Lock | undefined> {
		return Lock.#spawn(path, ["--nonblock"]);
	}

	/** Takes the lock, waiting for whoever has it; `onWait` hears who that is. */
	static async acquire(path: string, onWait: (holder: string) => void): Promise<Lock> {
		const free = await Lock.tryAcquire(path);
		if (free) return free;
		onWait(holderOf(path));
		const lock = await Lock.#spawn(path, []);
		if (!lock) throw new Error(`flock gave up waiting for ${path}`);
		return lock;
	}

	static async #spawn(path: string, options: string[]): Promise<Lock | undefined> {
		mkdirSync(dirname(path), { recursive: true, mode: 0o711 });
		// Whoever may open a lock may take it, and keep everybody else waiting.
		closeSync(openSync(path, "a", 0o600));
		chmodSync(path, 0o600);
		// Detached: Ctrl-C in the terminal must not free the lock before its owner has cleaned up.
		const holder = spawn("flock", [...options, "--conflict-exit-code", "75", path, "sh", "-c", "echo; exec cat"], {
			stdio: ["pipe", "pipe", "ignore"],
			detached: true,
		});
		const taken = await Promise.race([
			once(holder.stdout, "data").then(() => true),
			once(holder, "exit").then(([code]) => {
				if (code !== 75) throw new Error(`flock ${path}: exit code ${code}`);
				return false;
			}),
		]);
		if (!taken) return undefined;
		holder.unref();
		writeFileSync(path, `${process.pid} ${process.argv.slice(2).join(" ")}`);
		return new Lock(holder);
	}

	/** Frees the lock; once is enough, and more does no harm. */
	async [Symbol.asyncDispose](): Promise<void> {
		if (this.#holder.exitCode !== null || this.#holder.signalCode !== null) return;
		const ended = once(this.#holder, "exit");
		this.#holder.ref();
		this.#holder.stdin?.end();
		await ended;
	}
}

/** Who holds a lock, in words. */
export function holderOf(path: string): string {
	const [pid, ...command] = readFileSync(path, "utf8").split(" ");
	return pid ? `process ${pid} (dormice ${command.join(" ")})` : "another process";
}
