import type { Client } from "@connectrpc/connect";
import { DormiceError, fromConnectError, type process as wire } from "@dormice/protocol";
import { exitCodeOf } from "./execution.ts";
import { userHeaders } from "./user.ts";

export interface PtyOptions {
	columns: number;
	rows: number;
	user?: string;
	cwd?: string;
	env?: Record<string, string>;
	signal?: AbortSignal;
}

/** An interactive shell on a terminal. */
export interface Pty {
	readonly pid: number;
	/** What the terminal shows, to its end; then the shell's exit code. */
	readonly output: AsyncGenerator<Uint8Array, number>;
	/** Types into the terminal. Keeps the order of calls, and sends together what piles up meanwhile. */
	write(data: Uint8Array): Promise<void>;
	resize(size: { columns: number; rows: number }): Promise<void>;
	kill(): Promise<void>;
}

type Processes = Client<typeof wire.Process>;

export async function openPty(processes: Processes, options: PtyOptions): Promise<Pty> {
	const events = processes
		.start(
			{
				process: {
					cmd: "/bin/bash",
					args: ["-i", "-l"],
					envs: { TERM: "xterm-256color", LANG: "C.UTF-8", LC_ALL: "C.UTF-8", ...options.env },
					...(options.cwd === undefined ? {} : { cwd: options.cwd }),
				},
				pty: { size: { cols: options.columns, rows: options.rows } },
			},
			{ headers: userHeaders(options.user), ...(options.signal ? { signal: options.signal } : {}) },
		)
		[Symbol.asyncIterator]();
	const pid = await readPid(events);
	const selector = { selector: { case: "pid", value: pid } } as const;
	const write = inOrder((data) =>
		processes.sendInput({ process: selector, input: { input: { case: "pty", value: data } } }),
	);
	return {
		pid,
		output: readOutput(events),
		write,
		async resize({ columns, rows }) {
			await processes.update({ process: selector, pty: { size: { cols: columns, rows } } });
		},
		async kill() {
			await processes.sendSignal({ process: selector, signal: 9 });
		},
	};
}

type Events = AsyncIterator<wire.StartResponse>;

async function next(events: Events) {
	try {
		const { done, value } = await events.next();
		if (done) throw new DormiceError("guest_unhealthy", "The sandbox ended while the terminal was open.");
		return value.event?.event;
	} catch (error) {
		throw fromConnectError(error, "guest_unhealthy");
	}
}

async function readPid(events: Events): Promise<number> {
	for (;;) {
		const event = await next(events);
		if (event?.case === "start") return event.value.pid;
	}
}

async function* readOutput(events: Events): AsyncGenerator<Uint8Array, number> {
	for (;;) {
		const event = await next(events);
		if (event?.case === "data" && event.value.output.case === "pty") yield event.value.output.value;
		if (event?.case === "end") return exitCodeOf(event.value);
	}
}

/**
 * One request at a time: two at once could overtake each other. What is written while one is under way goes
 * together in the next.
 */
export function inOrder(send: (data: Uint8Array) => Promise<unknown>): (data: Uint8Array) => Promise<void> {
	let waiting: Uint8Array[] = [];
	let sending: Promise<void> | undefined;
	const drain = async () => {
		while (waiting.length > 0) {
			const batch = concat(waiting);
			waiting = [];
			await send(batch);
		}
	};
	return (data) => {
		waiting.push(data);
		sending ??= drain().finally(() => {
			sending = undefined;
		});
		return sending;
	};
}

function concat(chunks: readonly Uint8Array[]): Uint8Array {
	const whole = new Uint8Array(chunks.reduce((total, chunk) => total + chunk.length, 0));
	let offset = 0;
	for (const chunk of chunks) {
		whole.set(chunk, offset);
		offset += chunk.length;
	}
	return whole;
}
