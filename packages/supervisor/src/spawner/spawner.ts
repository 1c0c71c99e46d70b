import { constants, openSync } from "node:fs";
import { Socket } from "node:net";
import { constants as os } from "node:os";
import { DormiceError } from "@dormice/protocol";
import { errnoText } from "../errno.ts";
import { bestEffort } from "../log.ts";
import {
	EVENT_EXITED,
	FLAGS,
	type FrameReader,
	FrameSplitter,
	FrameWriter,
	LARGEST_FRAME_BYTES,
	NO_FD,
	OP,
	STAGE,
	UNKNOWN,
} from "./frame.ts";
import { checkSize, tooLarge } from "./size.ts";

/** A program to run, everything resolved. */
export interface Order {
	readonly file: string;
	readonly args: readonly string[];
	/** `NAME=value` each. */
	readonly environment: readonly string[];
	readonly cwd: string;
	readonly uid: number;
	readonly gid: number;
	readonly groups: readonly number[];
	/** False: standard input is /dev/null. */
	readonly stdin: boolean;
	readonly pty?: { readonly columns: number; readonly rows: number } | undefined;
	/** What a supervisor that takes this one's place is to know of it; without NUL. Without one, it takes no interest. */
	readonly note?: string | undefined;
}

/** A program that runs, with our ends of its pipes. With a PTY, `stdin` and `stdout` are the terminal. */
export interface Spawned {
	readonly pid: number;
	readonly stdin: Socket | undefined;
	readonly stdout: Socket;
	readonly stderr: Socket | undefined;
	readonly exited: Promise<Exit>;
	/** The program reads the end of its input, once what was written is read. */
	closeStdin(): void;
	/**
	 * It has ended, and its output is over: until then, it is handed to whoever takes this supervisor's place. With
	 * `isHeld`, something it left behind may still write, of which nothing needs to be kept.
	 */
	release(options: { isHeld: boolean }): void;
}

export interface Exit {
	/** As wait(2) has it. */
	readonly status: number;
	/** How many bytes of stdout and stderr were still to be read then; undefined where that cannot be known. */
	readonly unread: readonly [number | undefined, number | undefined];
}

/** One that a supervisor before this one started. */
export interface Inherited extends Spawned {
	readonly note: string;
}

type Fill = (frame: FrameWriter) => FrameWriter;
type Answered = (errno: number, results: FrameReader) => void;

/** The connection to the spawner, which does for us what Node cannot or does slowly. */
export class Spawner implements AsyncDisposable {
	readonly #socket: Socket;
	readonly pid: number;
	readonly #splitter = new FrameSplitter();
	readonly #waiting = new Map<number, Answered>();
	readonly #exits = new Map<number, (exit: Exit) => void>();
	/** Resolves when the spawner is gone; nothing can be done then but end. */
	readonly closed: Promise<void>;
	#lastId = 0;

	constructor(options: { fd: number; pid: number }) {
		this.pid = options.pid;
		this.#socket = new Socket({ fd: options.fd, readable: true, writable: true });
		this.#socket.on("data", (chunk) => {
			for (const frame of this.#splitter.push(chunk)) this.#receive(frame);
		});
		this.closed = new Promise((resolve) => {
			this.#socket.once("close", () => resolve());
			this.#socket.once("error", () => resolve());
		});
	}

	/** Runs a program. Fails with `invalid_argument` when it cannot be started as asked. */
	async spawn(order: Order): Promise<Spawned> {
		checkSize(order);
		const { promise, resolve, reject } = Promise.withResolvers<Spawned>();
		const fill = (frame: FrameWriter) => {
			frame.u32((order.pty ? FLAGS.pty : 0) | (order.stdin ? FLAGS.stdin : 0));
			frame.u32(order.uid).u32(order.gid);
			frame.u32(order.pty?.columns ?? 0).u32(order.pty?.rows ?? 0);
			frame.string(order.cwd).string(order.file);
			frame.list([order.file, ...order.args]).list(order.environment);
			frame.u32(order.groups.length);
			for (const group of order.groups) frame.u32(group);
			return frame.string(order.note ?? "");
		};
		this.#send(OP.spawn, fill, (errno, results) => {
			if (errno !== 0) return reject(spawnError(order, errno, results.u32()));
			const pid = results.u32();
			// Here and not a turn later: the next frame may already tell of its end.
			const exited = this.#exitOf(pid);
			try {
				resolve(this.#spawned(pid, exited, readFds(results)));
			} catch (error) {
				reject(error);
			}
			this.#say("closing the program's pipe ends", OP.opened, pid);
		});
		return promise;
	}

	/** What the supervisor before this one started and did not release. To be called once, before anything is spawned. */
	inherit(): Promise<Inherited[]> {
		const { promise, resolve, reject } = Promise.withResolvers<Inherited[]>();
		const fill = (frame: FrameWriter) => frame;
		this.#send(OP.list, fill, (_, results) => {
			const found: Inherited[] = [];
			try {
				while (!results.empty) {
					const pid = results.u32();
					const hasEnded = results.u32() === 1;
					const exit = readExit(results);
					const exited = hasEnded ? Promise.resolve(exit) : this.#exitOf(pid);
					const fds = readFds(results);
					found.push({ ...this.#spawned(pid, exited, fds, { mayHaveNoStdin: true }), note: results.string() });
				}
				resolve(found);
			} catch (error) {
				reject(error);
			}
		});
		return promise;
	}

	/**
	 * Signals the process group of a process that was spawned here; SIGKILL for a terminal's ends what the terminal runs too.
	 * `process_not_found` when it has ended.
	 */
	signal(pid: number, signal: number): Promise<void> {
		return this.#about(pid, "signal the process", OP.signal, (frame) => frame.u32(pid).u32(signal));
	}

	/** `process_not_found` when it has ended. */
	resize(pid: number, columns: number, rows: number): Promise<void> {
		return this.#about(pid, "resize the terminal", OP.resize, (frame) => frame.u32(pid).u32(columns).u32(rows));
	}

	/** sync(2). */
	sync(): Promise<void> {
		return this.#do("sync", OP.sync, (frame) => frame);
	}

	setHostname(name: string): Promise<void> {
		return this.#do("set the hostname", OP.hostname, (frame) => frame.string(name));
	}

	setClock(timeMs: number): Promise<void> {
		const seconds = Math.floor(timeMs / 1000);
		const nanoseconds = Math.floor((timeMs - seconds * 1000) * 1e6);
		return this.#do("set the clock", OP.clock, (frame) => frame.u32(seconds).u32(nanoseconds));
	}

	/** Stirs `entropy` into the kernel's randomness and has it begin anew from there; at most 256 bytes of it count. */
	async reseed(entropy: Buffer): Promise<void> {
		const words = Array.from({ length: Math.min(64, Math.floor(entropy.length / 4)) }, (_, i) =>
			entropy.readUInt32LE(i * 4),
		);
		const { errno } = await this.#call(OP.reseed, (frame) => {
			frame.u32(words.length);
			for (const word of words) frame.u32(word);
			return frame;
		});
		// gVisor's randomness is the host's own, and begins anew by itself.
		if (errno !== 0 && errno !== os.errno.ENOTTY) {
			throw new DormiceError("internal", `cannot reseed the kernel: ${errnoText(errno)}`, { cause: { errno } });
		}
	}

	/** False on a file system that keeps no extended attributes. */
	async setXattr(path: string, name: string, value: string): Promise<boolean> {
		const { errno } = await this.#call(OP.setXattr, (frame) => frame.string(path).string(name).string(value));
		if (errno === os.errno.EOPNOTSUPP) return false;
		if (errno !== 0) throw attributeError(errno);
		return true;
	}

	/** The extended attributes whose name starts with `prefix`. None where the file system has no such thing. */
	async getXattrs(path: string, prefix: string): Promise<Map<string, string>> {
		const found = new Map<string, string>();
		const { errno, results } = await this.#call(OP.getXattrs, (frame) => frame.string(path).string(prefix));
		if (errno === 0) while (!results.empty) found.set(results.string(), results.string());
		return found;
	}

	/** Removes the extended attributes whose name starts with `prefix`. */
	async removeXattrs(path: string, prefix: string): Promise<void> {
		const { errno } = await this.#call(OP.removeXattrs, (frame) => frame.string(path).string(prefix));
		if (errno !== 0) throw attributeError(errno);
	}

	/** Copies what users attached to a file, access lists too, but not what starts with `except`. */
	async copyXattrs(from: string, to: string, except: string): Promise<void> {
		const { errno } = await this.#call(OP.copyXattrs, (frame) => frame.string(from).string(to).string(except));
		if (errno !== 0) throw attributeError(errno);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#socket.destroy();
		await this.closed;
	}

	async #about(pid: number, what: string, op: number, fill: Fill): Promise<void> {
		try {
			await this.#do(what, op, fill);
		} catch (error) {
			const errno = error instanceof DormiceError ? (error.cause as { errno?: number } | undefined)?.errno : undefined;
			// EIO: its terminal is gone.
			if (errno !== os.errno.ESRCH && errno !== os.errno.EIO) throw error;
			throw new DormiceError("process_not_found", `process with pid ${pid} not found`, { cause: error });
		}
	}

	async #do(what: string, op: number, fill: Fill): Promise<void> {
		const { errno } = await this.#call(op, fill);
		if (errno !== 0) {
			throw new DormiceError("internal", `cannot ${what}: ${errnoText(errno)}`, { cause: { errno } });
		}
	}

	#exitOf(pid: number): Promise<Exit> {
		return new Promise((exit) => this.#exits.set(pid, exit));
	}

	#spawned(pid: number, exited: Promise<Exit>, [input, output, errors]: Fds, { mayHaveNoStdin = false } = {}): Spawned {
		try {
			let stdin: Socket | undefined;
			try {
				stdin = this.#open(input, constants.O_WRONLY);
			} catch (error) {
				// Nobody can open a pipe to a program that does not read it any more.
				if (!mayHaveNoStdin || (error as NodeJS.ErrnoException).code !== "ENXIO") throw error;
			}
			const stdout = this.#open(output, constants.O_RDONLY);
			const stderr = this.#open(errors, constants.O_RDONLY);
			if (!stdout) throw new Error("the spawner gave no output");
			return {
				...{ pid, stdin, stdout, stderr, exited },
				closeStdin: () => {
					stdin?.end();
					this.#say("closing the spawner's copy of an input", OP.closeStdin, pid);
				},
				release: ({ isHeld }) => this.#say("releasing an ended process", isHeld ? OP.renounce : OP.release, pid),
			};
		} catch (error) {
			throw new DormiceError("internal", `cannot open the pipes of process ${pid}`, { cause: error });
		}
	}

	/** About a process; nobody waits for it. */
	#say(what: string, op: number, pid: number): void {
		void bestEffort(
			what,
			this.#call(op, (frame) => frame.u32(pid)),
		);
	}

	#call(op: number, fill: Fill): Promise<{ errno: number; results: FrameReader }> {
		return new Promise((resolve) => this.#send(op, fill, (errno, results) => resolve({ errno, results })));
	}

	/** Throws `invalid_argument` for what is longer than the spawner takes: it would hang up, and end us. */
	#send(op: number, fill: Fill, answered: Answered): void {
		const id = ++this.#lastId;
		const frame = fill(new FrameWriter().u32(id).u32(op)).finish();
		if (frame.length > LARGEST_FRAME_BYTES)
			throw new DormiceError("invalid_argument", `a request of ${frame.length} bytes is more than can be passed on`);
		this.#waiting.set(id, answered);
		this.#socket.write(frame);
	}

	#receive(frame: FrameReader): void {
		const id = frame.u32();
		const errnoOrEvent = frame.u32();
		if (id !== 0) {
			const answered = this.#waiting.get(id);
			this.#waiting.delete(id);
			answered?.(errnoOrEvent, frame);
		} else if (errnoOrEvent === EVENT_EXITED) {
			const pid = frame.u32();
			this.#exits.get(pid)?.(readExit(frame));
			this.#exits.delete(pid);
		}
	}

	/** The spawner's pipe end, opened anew: from here on it is ours alone and non-blocking. */
	#open(fd: number, mode: number): Socket | undefined {
		if (fd === NO_FD) return undefined;
		const own = openSync(`/proc/${this.pid}/fd/${fd}`, mode | constants.O_NONBLOCK);
		const readable = mode === constants.O_RDONLY;
		return new Socket({ fd: own, readable, writable: !readable });
	}
}

function readExit(frame: FrameReader): Exit {
	const [status, ...unread] = [frame.u32(), frame.u32(), frame.u32()] as const;
	const known = (bytes: number) => (bytes === UNKNOWN ? undefined : bytes);
	return { status, unread: [known(unread[0]), known(unread[1])] };
}

/** The spawner's descriptors of a process: input, output, errors. */
type Fds = readonly [number, number, number];

function readFds(results: FrameReader): Fds {
	return [results.u32(), results.u32(), results.u32()];
}

/** Lets a program print whatever it likes, into nothing, and releases it when that is over. */
export function ignoreOutput({ stdout, stderr, exited, release }: Spawned): void {
	const closed = [stdout, stderr].map((output) => {
		if (output === undefined) return undefined;
		output.on("error", () => output.destroy()).resume();
		return new Promise<void>((resolve) => output.once("close", () => resolve()));
	});
	void Promise.all([exited, ...closed]).then(() => release({ isHeld: false }));
}

function attributeError(errno: number): DormiceError {
	const isFull = errno === os.errno.ENOSPC || errno === os.errno.EDQUOT;
	return new DormiceError(isFull ? "disk_full" : "internal", `cannot store metadata: ${errnoText(errno)}`);
}

function spawnError(order: Order, errno: number, stage: number): DormiceError {
	const text = errnoText(errno);
	if (stage === STAGE.cwd) {
		const missing = text === "no such file or directory";
		const message = missing ? `cwd '${order.cwd}' does not exist` : `cannot enter cwd '${order.cwd}': ${text}`;
		return new DormiceError("invalid_argument", message);
	}
	if (stage === STAGE.exec && errno === os.errno.E2BIG) return tooLarge();
	const reason = stage === STAGE.exec ? "invalid_argument" : "internal";
	return new DormiceError(reason, `error starting process '${order.file}': ${text}`);
}
