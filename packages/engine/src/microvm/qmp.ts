import { connect, type Socket } from "node:net";
import { createInterface, type Interface } from "node:readline";
import { DormiceError } from "@dormice/protocol";
import { failed } from "../command.ts";

/** A command of the QEMU Machine Protocol. */
export type Command = readonly [execute: string, args?: Record<string, unknown>];

type Message = { return?: unknown; error?: { desc: string }; event?: string };

type Settings = { timeoutMs?: number; until?: string };

/** A connection to a QEMU's control socket. It takes one at a time, and an engine that died must not hold it. */
export class Qmp implements Disposable {
	readonly #socket: Socket;
	readonly #messages: AsyncIterator<string>;
	readonly #lines: Interface;
	readonly #lost: Promise<never>;
	/** What was sent and is not answered yet. */
	#unanswered: string[] = [];

	/** Connects, and waits for nothing: what was sent before QEMU listens is answered when it does. */
	constructor(path: string) {
		this.#socket = connect(path);
		this.#lost = new Promise<never>((_, reject) => {
			this.#socket.once("error", reject);
			this.#socket.once("close", () => reject(new Error("QEMU closed the connection")));
		});
		this.#lost.catch(() => undefined);
		this.#lines = createInterface({ input: this.#socket, crlfDelay: Number.POSITIVE_INFINITY });
		this.#messages = this.#lines[Symbol.asyncIterator]();
		this.#send([["qmp_capabilities"]]);
	}

	/**
	 * Runs these one after the other. Resolves to what each returned, with `until` once that event was told as well; throws
	 * `command_failed` at the first refusal.
	 */
	async run(commands: readonly Command[], { timeoutMs = 20_000, until }: Settings = {}): Promise<unknown[]> {
		const before = this.#unanswered.length;
		this.#socket.setTimeout(timeoutMs, () => this.#socket.destroy(new Error(`no answer in ${timeoutMs} ms`)));
		this.#send(commands);
		try {
			const answers: unknown[] = [];
			for (let told = until === undefined; this.#unanswered.length > 0 || !told; ) {
				const message = await this.#next();
				if (message.error) throw failed(`QEMU's ${this.#unanswered[0]}`, "refused", message.error.desc);
				if ("return" in message && this.#unanswered.shift() !== undefined) answers.push(message.return);
				told ||= message.event !== undefined && message.event === until;
			}
			return answers.slice(before);
		} catch (error) {
			if (error instanceof DormiceError) throw error;
			const said = `QEMU's ${this.#unanswered[0] ?? until} failed: ${(error as Error).message}`;
			throw new DormiceError("command_failed", said, { cause: error });
		}
	}

	[Symbol.dispose](): void {
		this.#lines.close();
		this.#socket.destroy();
	}

	/** All at once: QEMU answers in order, and a round trip each is what would cost time. */
	#send(commands: readonly Command[]): void {
		this.#socket.write(commands.map(([execute, args]) => `${JSON.stringify({ execute, arguments: args })}\n`).join(""));
		this.#unanswered.push(...commands.map(([execute]) => execute));
	}

	async #next(): Promise<Message> {
		const { value, done } = await Promise.race([this.#messages.next(), this.#lost]);
		return done ? await this.#lost : (JSON.parse(value) as Message);
	}
}

/** Runs commands of the QEMU Machine Protocol over a connection of their own. */
export async function qmp(path: string, commands: readonly Command[], settings: Settings = {}): Promise<unknown[]> {
	using connection = new Qmp(path);
	return await connection.run(commands, settings);
}
