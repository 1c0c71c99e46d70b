import { DormiceError } from "@dormice/protocol";
import { call, type Endpoint, refusal, send } from "./endpoint.ts";
import { exitCodeOf } from "./execution.ts";
import { Patience, sleep } from "./patience.ts";

export interface OutputOptions {
	/** The one that a process always has when it is not given: `stdout`, or `pty` of a terminal. */
	stream?: "stdout" | "stderr" | "pty";
	/** Offset of the first byte wanted; the oldest that is kept when it is not given. */
	from?: number;
	/** Goes on with what comes, until the process has ended. True when it is not given. */
	follow?: boolean;
	/** Wakes the sandbox when it falls asleep meanwhile, instead of waiting until somebody else does. */
	wake?: boolean;
	signal?: AbortSignal;
}

export interface OutputPiece {
	/** Of the first byte of `data`. */
	offset: number;
	data: Uint8Array;
}

/** What a process that was started in the sandbox wrote and may be read again, and whether it still runs. */
export interface ProcessInfo {
	pid: number;
	cmd: string;
	args: string[];
	tag?: string;
	/** RFC 3339. */
	startedAt: string;
	/** The same in UNIX milliseconds: with the pid it names the process for good. */
	startedMs: number;
	running: boolean;
	/** Of one that has ended, with `exited` and `status` as "exit status 0" or "signal: killed". */
	exitCode?: number;
	exited?: boolean;
	status?: string;
	/** For each stream the offset of the oldest byte kept, and of the next to come. */
	output: Partial<Record<"stdout" | "stderr" | "pty", { earliest: number; end: number }>>;
}

const LOOK_AGAIN_MS = 1_000;
/** Refusals that pass: the sandbox is asleep or on its way, or the platform is starting. */
const PASSING = new Set([409, 429, 502, 503, 504]);

/**
 * The kept output of a process, read by offset. A connection that breaks, because the sandbox sleeps or the server
 * starts anew, is made again where it broke off: no byte is lost and none comes twice.
 */
export class ProcessOutput implements AsyncIterable<OutputPiece> {
	readonly #endpoint: Endpoint;
	readonly #sandboxId: string;
	readonly #headers: Record<string, string>;
	readonly #pid: number;
	readonly #options: OutputOptions;
	#offset: number | undefined;
	#started: string | undefined;
	#exitCode: number | undefined;

	constructor(
		target: { endpoint: Endpoint; sandboxId: string; headers: Record<string, string> },
		pid: number,
		options: OutputOptions,
	) {
		this.#endpoint = target.endpoint;
		this.#sandboxId = target.sandboxId;
		this.#headers = target.headers;
		this.#pid = pid;
		this.#options = options;
		this.#offset = options.from;
	}

	/** Offset of the next byte: where another reader would go on. */
	get offset(): number | undefined {
		return this.#offset;
	}

	/** The exit code, once the output was followed to its end. */
	get exitCode(): number | undefined {
		return this.#exitCode;
	}

	async *[Symbol.asyncIterator](): AsyncGenerator<OutputPiece, void> {
		let patience = new Patience();
		for (let isFirst = true; ; isFirst = false) {
			// To begin is a reason to wake the sandbox; to be cut off because it falls asleep is none.
			const wake = isFirst || (this.#options.wake ?? false);
			try {
				const { stream, follow } = this.#options;
				const query = { stream, from: this.#offset?.toFixed(0), follow: follow === false ? "false" : undefined };
				const response = await this.#ask("/output", query, wake);
				this.#offset ??= Number(response.headers.get("dormice-output-from"));
				for await (const data of response.body ?? []) {
					const offset = this.#offset;
					this.#offset += data.length;
					patience = new Patience();
					yield { offset, data };
				}
				if (this.#options.follow !== false) this.#exitCode = await this.#readExitCode(wake);
				return;
			} catch (error) {
				this.#options.signal?.throwIfAborted();
				if (error instanceof DormiceError && !isPassing(error)) throw error;
				await this.#wait(patience, error);
			}
		}
	}

	async #readExitCode(wake: boolean): Promise<number | undefined> {
		const info = (await (await this.#ask("", {}, wake)).json()) as ProcessInfo;
		const { exitCode, exited = false, status = "" } = info;
		return exitCode === undefined ? undefined : exitCodeOf({ exitCode, exited, status });
	}

	async #ask(path: string, query: Record<string, string | undefined>, wake: boolean): Promise<Response> {
		const url = new URL(`${this.#endpoint.sandboxUrl.replace(/\/$/, "")}/processes/${this.#pid}${path}`);
		for (const [name, value] of Object.entries({ ...query, started: this.#started })) {
			if (value !== undefined) url.searchParams.set(name, value);
		}
		const { signal } = this.#options;
		const headers = { ...this.#headers, ...(wake ? {} : { "Dormice-Wake": "never" }) };
		const response = await send(this.#endpoint, url, { headers, ...(signal ? { signal } : {}) });
		if (!response.ok) {
			const error = await refusal(response, `GET ${url.pathname}`);
			throw PASSING.has(response.status) ? new Passing(error) : error;
		}
		this.#started ??= response.headers.get("dormice-process-started") ?? undefined;
		return response;
	}

	/** Returns when it may work again. Throws the error when it is known that it will not, or has not for long. */
	async #wait(patience: Patience, error: unknown): Promise<void> {
		const cause = error instanceof Passing ? error.error : error;
		for (;;) {
			await sleep(patience.next(), this.#options.signal);
			const state = await this.#state();
			if (state !== "paused") break;
			if (this.#options.follow === false) throw cause;
			// However long it sleeps.
			patience.begin();
			await sleep(LOOK_AGAIN_MS, this.#options.signal);
			if (this.#options.wake) return;
		}
		if (patience.isOver) throw cause;
	}

	/** Undefined while the platform does not say. Throws `sandbox_not_found` when the sandbox is gone. */
	async #state(): Promise<unknown> {
		try {
			const path = `/sandboxes/${encodeURIComponent(this.#sandboxId)}`;
			const { body } = await call(this.#endpoint, "GET", path, pick(this.#options));
			return (body as { state?: unknown }).state;
		} catch (error) {
			if (error instanceof DormiceError && error.reason === "sandbox_not_found") throw error;
			this.#options.signal?.throwIfAborted();
			return undefined;
		}
	}
}

/** A refusal that may be another answer in a moment. */
class Passing extends Error {
	readonly error: DormiceError;

	constructor(error: DormiceError) {
		super(error.message);
		this.error = error;
	}
}

/** No platform at that address: it may be starting anew. */
function isPassing(error: DormiceError): boolean {
	return error.reason === "not_set_up";
}

function pick({ signal }: { signal?: AbortSignal }): { signal?: AbortSignal } {
	return signal ? { signal } : {};
}
