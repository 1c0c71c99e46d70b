import { type CallOptions, type Client, Code, ConnectError } from "@connectrpc/connect";
import { DormiceError, fromConnectError, type process as wire } from "@dormice/protocol";
import { userHeaders } from "./user.ts";

export interface ExecOptions {
	/** The user it runs as; the template's default when it is not given. */
	user?: string;
	/** Working directory; relative to the user's home. */
	cwd?: string;
	env?: Record<string, string>;
	/** After this long the process is killed. Unlimited when it is not given. */
	timeoutMs?: number;
	/** Keeps standard input open for `write`. */
	stdin?: boolean;
	/** Stops listening; the process goes on. */
	signal?: AbortSignal;
}

export interface OutputChunk {
	stream: "stdout" | "stderr";
	data: Uint8Array;
}

export interface ExecResult {
	/** The command's own code; 128 + 9 or 15 when a signal ended it. */
	exitCode: number;
	stdout: string;
	stderr: string;
}

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
	#exitCode: number | undefined;

	constructor({ sandboxId, processes }: Where, command: string | readonly string[], options: ExecOptions) {
		this.#sandboxId = sandboxId;
		this.#processes = processes;
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
						args: shellArguments(command),
						envs: options.env ?? {},
						...(options.cwd === undefined ? {} : { cwd: options.cwd }),
					},
					stdin: options.stdin ?? false,
				},
				call,
			)
			[Symbol.asyncIterator]();
		this.#started = this.#readPid();
		// Whoever iterates or asks for the pid sees the failure; nobody else has to.
		this.#started.catch(() => undefined);
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
				if (output.case === "stdout" || output.case === "stderr") yield { stream: output.case, data: output.value };
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

	/** Writes to standard input; needs `stdin: true`. Await each before the next: order is the caller's. */
	async write(data: Uint8Array): Promise<void> {
		await this.#processes.sendInput({
			process: await this.#selector(),
			input: { input: { case: "stdin", value: data } },
		});
	}

	async closeStdin(): Promise<void> {
		await this.#processes.closeStdin({ process: await this.#selector() });
	}

	/** Signals the process; `true` when there was one to signal. */
	async kill(signal: "SIGTERM" | "SIGKILL" = "SIGKILL"): Promise<boolean> {
		try {
			await this.#processes.sendSignal({ process: await this.#selector(), signal: signal === "SIGTERM" ? 15 : 9 });
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
			if (event?.case === "start") return event.value.pid;
		}
	}

	async #next(): Promise<NonNullable<wire.StartResponse["event"]>["event"] | undefined> {
		try {
			const { done, value } = await this.#events.next();
			if (done) throw new DormiceError("guest_unhealthy", "The sandbox ended while the command ran.");
			return value.event?.event;
		} catch (error) {
			throw execError(error, this.#sandboxId);
		}
	}
}

/** The arguments of `/bin/bash`: a line goes to the shell, a vector is handed through it untouched. */
export function shellArguments(command: string | readonly string[]): string[] {
	return typeof command === "string" ? ["-l", "-c", command] : ["-l", "-c", 'exec "$@"', "dormice", ...command];
}

/** What a shell would report: a signal's number is in the text, as in "signal: killed". */
export function exitCodeOf(end: { exitCode: number; exited: boolean; status: string }): number {
	if (end.exited || end.exitCode >= 0) return end.exitCode;
	if (end.status.includes("killed")) return 128 + 9;
	if (end.status.includes("terminated")) return 128 + 15;
	return 128;
}

/** Connect's errors as ours. A gateway's 502 has no reason in it: the sandbox is gone or paused. */
function execError(error: unknown, sandboxId: string): DormiceError {
	if (error instanceof DormiceError) return error;
	const { code } = ConnectError.from(error);
	if (code === Code.Unavailable) {
		const advice = `Wake it with resume(), or with: dormice resume ${sandboxId}`;
		return new DormiceError("sandbox_not_found", `The sandbox is not running. ${advice}`, { cause: error });
	}
	if (code === Code.DeadlineExceeded) {
		return new DormiceError("deadline_exceeded", "The command's timeout passed and it was killed.", { cause: error });
	}
	return fromConnectError(error, code === Code.InvalidArgument ? "invalid_argument" : "internal");
}
