import { type CallOptions, type Client, Code, ConnectError } from "@connectrpc/connect";
import {
	DormiceError,
	fromConnectError,
	REASON_HEADER,
	type Reason,
	type SignalName,
	signalNumber,
	signalOfStatus,
	type process as wire,
} from "@dormice/protocol";
import { inOrder } from "./in-order.ts";
import { userHeaders } from "./user.ts";

export interface ExecOptions {
	/** The user it runs as; the template's default when it is not given. */
	user?: string;
	/** Working directory; relative to the user's home. */
	cwd?: string;
	env?: Record<string, string>;
	/** After this long the process is killed. Unlimited when it is not given. */
	timeoutMs?: number;
	/** Keeps standard input open for `write`. On a terminal it always is. */
	stdin?: boolean;
	/** Runs it on a terminal of its own, of this size: both its outputs come as `stdout`. */
	terminal?: TerminalSize;
	/** Stops listening; the process goes on. */
	signal?: AbortSignal;
}

export interface TerminalSize {
	columns: number;
	rows: number;
}

export interface OutputChunk {
	stream: "stdout" | "stderr";
	data: Uint8Array;
}

export interface ExecResult {
	/** The command's own code; 128 and the signal's number when one ended it. */
	exitCode: number;
	stdout: string;
	stderr: string;
}

/** Few requests for much input, and none so large that it waits for itself. */
const WRITE_AHEAD_BYTES = 512 << 10;

type Processes = Client<typeof wire.Process>;
type Where = { sandboxId: string; processes: Processes };

/**
 * A command that runs. Read it once: either iterate its output and then look at `exitCode`, or await `result()`.
 * Not being read holds the command back when its output fills the buffers.
 */
export class Execution implements AsyncIterable<OutputChunk> {
	readonly #sandboxId: string;
	readonly #processes: Processes;
	readonly #events: AsyncIterator<wire.StartResponse>;
	readonly #started: Promise<number>;
	readonly #write: (data: Uint8Array) => Promise<void>;
	#pid: number | undefined;
	#exitCode: number | undefined;

	/** `command` undefined: an interactive login shell. */
	constructor({ sandboxId, processes }: Where, command: string | readonly string[] | undefined, options: ExecOptions) {
		this.#sandboxId = sandboxId;
		this.#processes = processes;
		const { terminal } = options;
		const call: CallOptions = {
			headers: userHeaders(options.user),
			...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
			...(options.signal ? { signal: options.signal } : {}),
		};
		this.#events = processes
			.start(
				{
					process: {
						cmd: "/bin/bash",
						args: command === undefined ? ["-i", "-l"] : shellArguments(command),
						envs: { ...(terminal ? TERMINAL_ENVIRONMENT : {}), ...options.env },
						...(options.cwd === undefined ? {} : { cwd: options.cwd }),
					},
					stdin: options.stdin ?? false,
					...(terminal ? { pty: { size: toWire(terminal) } } : {}),
				},
				call,
			)
			[Symbol.asyncIterator]();
		this.#started = this.#readPid();
		// Whoever iterates or asks for the pid sees the failure; nobody else has to.
		this.#started.catch(() => undefined);
		const channel = terminal ? "pty" : "stdin";
		this.#write = inOrder(async (value) =>
			processes.sendInput({ process: await this.#selector(), input: { input: { case: channel, value } } }),
		);
	}

	/** The process id inside the sandbox. */
	get pid(): Promise<number> {
		return this.#started;
	}

	/** The exit code, once the output has been read to its end. */
	get exitCode(): number | undefined {
		return this.#exitCode;
	}

	async *[Symbol.asyncIterator](): AsyncGenerator<OutputChunk, void> {
		await this.#started;
		for (;;) {
			const event = await this.#next();
			if (event?.case === "data") {
				const { output } = event.value;
				if (output.case === undefined) continue;
				yield { stream: output.case === "stderr" ? "stderr" : "stdout", data: output.value };
			} else if (event?.case === "end") {
				this.#exitCode = exitCodeOf(event.value);
				return;
			}
		}
	}

	/** Reads all output and waits for the end. A non-zero exit code is an answer, not an error. */
	async result(): Promise<ExecResult> {
		const text = { stdout: "", stderr: "" };
		const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
		for await (const { stream, data } of this) text[stream] += decoders[stream].decode(data, { stream: true });
		return {
			exitCode: this.#exitCode ?? -1,
			stdout: text.stdout + decoders.stdout.decode(),
			stderr: text.stderr + decoders.stderr.decode(),
		};
	}

	/**
	 * Writes to standard input, or types into the terminal. Calls keep their order, and what piles up while one is under
	 * way goes together. Throws `process_not_found` or `internal` when nothing reads it any more.
	 */
	async write(data: Uint8Array): Promise<void> {
		try {
			await this.#write(data);
		} catch (error) {
			throw execError(error, this.#sandboxId, "guest_unhealthy");
		}
	}

	/** Writes all of it, with a bound on what is under way. */
	async writeAll(source: AsyncIterable<Uint8Array>): Promise<void> {
		let last: Promise<void> = Promise.resolve();
		let ahead = 0;
		for await (const chunk of source) {
			last = this.write(chunk);
			ahead += chunk.length;
			if (ahead >= WRITE_AHEAD_BYTES) {
				await last;
				ahead = 0;
			} else last.catch(() => undefined);
		}
		await last;
	}

	/** The command finds the end of its standard input. A terminal has none: type what ends it there, `\x04`. */
	async closeStdin(): Promise<void> {
		try {
			await this.#processes.closeStdin({ process: await this.#selector() });
		} catch (error) {
			throw execError(error, this.#sandboxId);
		}
	}

	async resize(size: TerminalSize): Promise<void> {
		await this.#processes.update({ process: await this.#selector(), pty: { size: toWire(size) } });
	}

	/** Signals the process and those of its group; `true` when there was one to signal. */
	async kill(signal: SignalName = "SIGKILL"): Promise<boolean> {
		try {
			await this.#processes.sendSignal({ process: await this.#selector(), signal: signalNumber(signal) });
			return true;
		} catch (error) {
			if (ConnectError.from(error).code === Code.NotFound) return false;
			throw fromConnectError(error, "internal");
		}
	}

	async #selector() {
		return { selector: { case: "pid", value: await this.#started } } as const;
	}

	async #readPid(): Promise<number> {
		for (;;) {
			const event = await this.#next();
			if (event?.case === "start") {
				this.#pid = event.value.pid;
				return this.#pid;
			}
		}
	}

	async #next(): Promise<NonNullable<wire.StartResponse["event"]>["event"] | undefined> {
		try {
			const { done, value } = await this.#events.next();
			if (done) throw new DormiceError("guest_unhealthy", "The sandbox ended while the command ran.");
			return value.event?.event;
		} catch (error) {
			if (this.#pid !== undefined && isCutOff(error)) throw cutOff(error, this.#sandboxId, this.#pid);
			throw execError(error, this.#sandboxId);
		}
	}
}

/** Broken in the middle, and not refused or ended by anybody. */
function isCutOff(error: unknown): boolean {
	if (error instanceof DormiceError) return false;
	const { code, metadata } = ConnectError.from(error);
	return code !== Code.Canceled && code !== Code.DeadlineExceeded && !metadata.has(REASON_HEADER);
}

function cutOff(cause: unknown, sandboxId: string, pid: number): DormiceError {
	const message =
		`The connection to process ${pid} was cut off: its sandbox was stored, put back or ended, or the platform restarted. ` +
		`If it is still there, it goes on: dormice logs ${sandboxId} --process ${pid} --follow`;
	return new DormiceError("guest_unhealthy", message, { cause });
}

/** The arguments of `/bin/bash`: a line goes to the shell, a vector is handed through it untouched. */
export function shellArguments(command: string | readonly string[]): string[] {
	return typeof command === "string" ? ["-l", "-c", command] : ["-l", "-c", 'exec "$@"', "dormice", ...command];
}

/** What a shell would report: which signal it was is in the text, as in "signal: killed". */
export function exitCodeOf(end: { exitCode: number; exited: boolean; status: string }): number {
	if (end.exited || end.exitCode >= 0) return end.exitCode;
	return 128 + (signalOfStatus(end.status) ?? 0);
}

const TERMINAL_ENVIRONMENT = { TERM: "xterm-256color", LANG: "C.UTF-8", LC_ALL: "C.UTF-8" };

function toWire({ columns, rows }: TerminalSize) {
	return { cols: columns, rows };
}

/** Connect's errors as ours. A gateway's 502 has no reason in it: the sandbox is gone or paused. */
function execError(error: unknown, sandboxId: string, fallback: Reason = "internal"): DormiceError {
	if (error instanceof DormiceError) return error;
	const { code } = ConnectError.from(error);
	if (code === Code.Unavailable) {
		const advice = `Wake it with resume(), or with: dormice resume ${sandboxId}`;
		return new DormiceError("sandbox_not_found", `The sandbox is not running. ${advice}`, { cause: error });
	}
	if (code === Code.DeadlineExceeded) {
		return new DormiceError("deadline_exceeded", "The command's timeout passed and it was killed.", { cause: error });
	}
	return fromConnectError(error, code === Code.InvalidArgument ? "invalid_argument" : fallback);
}
