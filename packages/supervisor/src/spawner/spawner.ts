import { constants, openSync } from "node:fs";
import { Socket } from "node:net";
import { constants as os } from "node:os";
import { DormiceError } from "@dormice/protocol";
import { errnoText } from "../errno.ts";
import { bestEffort } from "../log.ts";
import { EVENT_EXITED, FLAGS, type FrameReader, FrameSplitter, FrameWriter, NO_FD, OP, STAGE } from "./frame.ts";

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
}

/** A program that runs, with our ends of its pipes. With a PTY, `stdin` and `stdout` are the terminal. */
export interface Spawned {
	readonly pid: number;
	readonly stdin: Socket | undefined;
	readonly stdout: Socket;
	readonly stderr: Socket | undefined;
	/** Resolves to the wait status. */
	readonly exited: Promise<number>;
}

type Fill = (frame: FrameWriter) => FrameWriter;
type Answered = (errno: number, results: FrameReader) => void;

/** The connection to the spawner, which does for us what Node cannot or does slowly. */
export class Spawner implements AsyncDisposable {
	readonly #socket: Socket;
	readonly pid: number;
	readonly #splitter = new FrameSplitter();
	readonly #waiting = new Map<number, Answered>();
	readonly #exits = new Map<number, (status: number) => void>();
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
	spawn(order: Order): Promise<Spawned> {
		const { promise, resolve, reject } = Promise.withResolvers<Spawned>();
		const fill = (frame: FrameWriter) => {
			frame.u32((order.pty ? FLAGS.pty : 0) | (order.stdin ? FLAGS.stdin : 0));
			frame.u32(order.uid).u32(order.gid);
			frame.u32(order.pty?.columns ?? 0).u32(order.pty?.rows ?? 0);
			frame.string(order.cwd).string(order.file);
			frame.list([order.file, ...order.args]).list(order.environment);
			frame.u32(order.groups.length);
			for (const group of order.groups) frame.u32(group);
			return frame;
		};
		this.#send(OP.spawn, fill, (errno, results) => {
			if (errno !== 0) return reject(spawnError(order, errno, results.u32()));
			const pid = results.u32();
			// Here and not a turn later: the next frame may already tell of its end.
			const exited = new Promise<number>((exit) => this.#exits.set(pid, exit));
			try {
				const stdin = this.#open(results.u32(), constants.O_WRONLY);
				const stdout = this.#open(results.u32(), constants.O_RDONLY);
				const stderr = this.#open(results.u32(), constants.O_RDONLY);
				if (!stdout) throw new Error("the spawner gave no output");
				resolve({ pid, stdin, stdout, stderr, exited });
			} catch (error) {
				reject(new DormiceError("internal", `cannot open the pipes of process ${pid}`, { cause: error }));
			}
			void bestEffort(
				"closing the spawner's pipe ends",
				this.#call(OP.opened, (frame) => frame.u32(pid)),
			);
		});
		return promise;
	}

	/** Signals the process group of a process that was spawned here. */
	signal(pid: number, signal: number): Promise<void> {
		return this.#do("signal the process", OP.signal, (frame) => frame.u32(pid).u32(signal));
	}

	resize(pid: number, columns: number, rows: number): Promise<void> {
		return this.#do("resize the terminal", OP.resize, (frame) => frame.u32(pid).u32(columns).u32(rows));
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

	/** False on a file system that keeps no extended attributes. */
	async setXattr(path: string, name: string, value: string): Promise<boolean> {
		const { errno } = await this.#call(OP.setXattr, (frame) => frame.string(path).string(name).string(value));
		if (errno === os.errno.EOPNOTSUPP) return false;
		if (errno !== 0)
			throw new DormiceError(
				errno === os.errno.ENOSPC ? "disk_full" : "internal",
				`cannot store metadata: ${errnoText(errno)}`,
			);
		return true;
	}

	/** The extended attributes whose name starts with `prefix`. None where the file system has no such thing. */
	async getXattrs(path: string, prefix: string): Promise<Map<string, string>> {
		const found = new Map<string, string>();
		const { errno, results } = await this.#call(OP.getXattrs, (frame) => frame.string(path).string(prefix));
		if (errno === 0) while (!results.empty) found.set(results.string(), results.string());
		return found;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#socket.destroy();
		await this.closed;
	}

	async #do(what: string, op: number, fill: Fill): Promise<void> {
		const { errno } = await this.#call(op, fill);
		if (errno !== 0) {
			throw new DormiceError("internal", `cannot ${what}: ${errnoText(errno)}`, { cause: { errno } });
		}
	}

	#call(op: number, fill: Fill): Promise<{ errno: number; results: FrameReader }> {
		return new Promise((resolve) => this.#send(op, fill, (errno, results) => resolve({ errno, results })));
	}

	#send(op: number, fill: Fill, answered: Answered): void {
		const id = ++this.#lastId;
		this.#waiting.set(id, answered);
		this.#socket.write(fill(new FrameWriter().u32(id).u32(op)).finish());
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
			this.#exits.get(pid)?.(frame.u32());
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

function spawnError(order: Order, errno: number, stage: number): DormiceError {
	const text = errnoText(errno);
	if (stage === STAGE.cwd) {
		const missing = text === "no such file or directory";
		const message = missing ? `cwd '${order.cwd}' does not exist` : `cannot enter cwd '${order.cwd}': ${text}`;
		return new DormiceError("invalid_argument", message);
	}
	const reason = stage === STAGE.exec ? "invalid_argument" : "internal";
	return new DormiceError(reason, `error starting process '${order.file}': ${text}`);
}
