import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { type DormiceError, GUEST, process as wire } from "@dormice/protocol";
import type { Endpoint } from "./endpoint.ts";
import { type ExecOptions, Execution, type TerminalSize } from "./execution.ts";
import { Files } from "./files.ts";
import { type OutputOptions, ProcessOutput } from "./output.ts";
import {
	type Difference,
	type ForkOptions,
	type Generation,
	type Lifecycle,
	Sandboxes,
	type SandboxInfo,
} from "./sandboxes.ts";

/** One sandbox, as a thing to work in. */
export class Sandbox {
	readonly id: string;
	readonly info: SandboxInfo;
	readonly files: Files;
	readonly #endpoint: Endpoint;
	readonly #sandboxes: Sandboxes;
	readonly #processes: Client<typeof wire.Process>;

	constructor(endpoint: Endpoint, info: SandboxInfo) {
		this.id = info.sandboxId;
		this.info = info;
		this.files = new Files(endpoint, guestHeaders(info));
		this.#endpoint = endpoint;
		this.#sandboxes = new Sandboxes(endpoint);
		this.#processes = createClient(wire.Process, transport(endpoint, guestHeaders(info)));
	}

	/**
	 * Starts a command: a string is a shell line, an array is a program and its arguments, taken as they are.
	 * Both run under a login shell, so that `PATH` is the user's.
	 */
	exec(command: string | readonly string[], options: ExecOptions = {}): Execution {
		return new Execution({ sandboxId: this.id, processes: this.#processes }, command, options);
	}

	/**
	 * The kept output of a process that was started in this sandbox, by whomever; iterate it. It outlives connections, sleep
	 * and the process: see {@link OutputOptions}. Throws `output_out_of_range` when what is asked for is not kept any more.
	 */
	output(pid: number, options: OutputOptions = {}): ProcessOutput {
		const target = { endpoint: this.#endpoint, sandboxId: this.id, headers: guestHeaders(this.info) };
		return new ProcessOutput(target, pid, options);
	}

	/** Opens an interactive login shell on a terminal of its own. */
	terminal(size: TerminalSize, options: Omit<ExecOptions, "terminal" | "stdin"> = {}): Execution {
		const where = { sandboxId: this.id, processes: this.#processes };
		return new Execution(where, undefined, { ...options, terminal: size });
	}

	pause(options?: { memory?: boolean }): Promise<void> {
		return this.#sandboxes.pause(this.id, options);
	}

	resume(options?: { timeoutS?: number; memory?: boolean }): Promise<Sandbox> {
		return this.#sandboxes.resume(this.id, options);
	}

	/** Stores it as it is now, and lets it go on. */
	checkpoint(options?: { label?: string }): Promise<Generation> {
		return this.#sandboxes.checkpoint(this.id, options);
	}

	/** Why it is awake, how long it was in each state, and how it came there. Does not wake it. */
	lifecycle(options?: { limit?: number }): Promise<Lifecycle> {
		return this.#sandboxes.lifecycle(this.id, options);
	}

	/** Its stored states, the newest first. */
	history(): Promise<Generation[]> {
		return this.#sandboxes.history(this.id);
	}

	/** Puts it back to a state of its history, by id or label. */
	rollback(generation: string): Promise<{ generationId: string; replacedId: string }> {
		return this.#sandboxes.rollback(this.id, generation);
	}

	/** What changed from a state of its history to another, or to what it is now. */
	diff(from: string, to?: string): Promise<Difference> {
		return this.#sandboxes.diff(this.id, from, to);
	}

	/** Sandboxes that go on from what this one is, or was. */
	fork(options?: ForkOptions): Promise<(Sandbox | DormiceError)[]> {
		return this.#sandboxes.fork(this.id, options);
	}

	kill(): Promise<void> {
		return this.#sandboxes.kill(this.id);
	}

	setTimeout(timeoutS: number): Promise<void> {
		return this.#sandboxes.setTimeout(this.id, timeoutS);
	}
}

/** What makes a request one for this sandbox's supervisor. */
function guestHeaders(info: SandboxInfo): Record<string, string> {
	return {
		"E2b-Sandbox-Id": info.sandboxId,
		"E2b-Sandbox-Port": String(GUEST.supervisorPort),
		...(info.envdAccessToken ? { "X-Access-Token": info.envdAccessToken } : {}),
	};
}

function transport(endpoint: Endpoint, headers: Record<string, string>) {
	return createConnectTransport({
		baseUrl: endpoint.sandboxUrl,
		fetch: endpoint.fetch,
		useBinaryFormat: false,
		interceptors: [
			(next) => (request) => {
				for (const [name, value] of Object.entries(headers)) request.header.set(name, value);
				// Below every proxy's and runtime's usual idle limit.
				if (request.stream) request.header.set("Keepalive-Ping-Interval", "50");
				return next(request);
			},
		],
	});
}
