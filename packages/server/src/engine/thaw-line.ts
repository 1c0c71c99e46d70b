import { request } from "node:http";
import type { Duplex } from "node:stream";
import { DormiceError, isReason, readThawLines, THAW_LINE, untilAborted } from "@dormice/protocol";

interface Waiting {
	resolve: () => void;
	reject: (error: Error) => void;
}

/** The kept connection over which a dozing sandbox is thawed: what somebody's request waits for. */
export class ThawLine {
	readonly #socketPath: string;
	#line: Promise<Duplex> | undefined;
	readonly #waiting = new Map<string, Waiting>();
	#tag = 0;

	constructor(socketPath: string) {
		this.#socketPath = socketPath;
	}

	/** Throws what the engine says; `engine_unavailable` when it says nothing. */
	async thaw(sandboxId: string, timeoutMs: number): Promise<void> {
		const signal = AbortSignal.timeout(timeoutMs);
		try {
			await this.#ask(sandboxId, signal).catch((error: unknown) => {
				// A kept connection that the engine closed meanwhile: a thaw may be said twice.
				if (!(error instanceof LineClosed)) throw error;
				return this.#ask(sandboxId, signal);
			});
		} catch (cause) {
			if (cause instanceof DormiceError) throw cause;
			throw new DormiceError("engine_unavailable", "The engine did not answer 'thaw': is it running?", { cause });
		}
	}

	/** Connects ahead of who will wait. */
	open(): void {
		this.#opened().catch(() => undefined);
	}

	async #ask(sandboxId: string, signal: AbortSignal): Promise<void> {
		const line = await untilAborted(this.#opened(), signal);
		const { promise, resolve, reject } = Promise.withResolvers<void>();
		const tag = String(this.#tag++);
		this.#waiting.set(tag, { resolve, reject });
		line.write(`${tag} ${sandboxId}\n`);
		await untilAborted(promise, signal).finally(() => this.#waiting.delete(tag));
	}

	#opened(): Promise<Duplex> {
		this.#line ??= connect(this.#socketPath).then(
			(line) => {
				readThawLines(line, (answer) => this.#take(answer));
				line.on("error", () => undefined).on("close", () => this.#closed());
				return line;
			},
			(error: unknown) => {
				this.#line = undefined;
				throw error;
			},
		);
		return this.#line;
	}

	#take(answer: string): void {
		const [tag = "", reason, ...message] = answer.split(" ");
		const waiting = this.#waiting.get(tag);
		if (reason === undefined) waiting?.resolve();
		else waiting?.reject(new DormiceError(isReason(reason) ? reason : "engine_unavailable", message.join(" ")));
	}

	#closed(): void {
		this.#line = undefined;
		for (const { reject } of this.#waiting.values()) reject(new LineClosed("the engine closed the connection"));
		this.#waiting.clear();
	}
}

class LineClosed extends Error {}

function connect(socketPath: string): Promise<Duplex> {
	const { promise, resolve, reject } = Promise.withResolvers<Duplex>();
	const headers = { connection: "upgrade", upgrade: THAW_LINE.upgrade };
	request({ socketPath, path: THAW_LINE.path, headers })
		.on("upgrade", (_, socket) => {
			// It keeps no process alive that has nothing else to do.
			socket.unref();
			resolve(socket);
		})
		.on("response", ({ statusCode }) => reject(new Error(`the engine answered ${statusCode} in place of upgrading`)))
		.on("error", reject)
		.end();
	return promise;
}
