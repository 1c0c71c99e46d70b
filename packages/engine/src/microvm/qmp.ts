import { connect } from "node:net";
import { createInterface } from "node:readline";
import { DormiceError } from "@dormice/protocol";
import { failed } from "../command.ts";

export type Command = readonly [execute: string, args?: Record<string, unknown>];

/**
 * Runs commands of the QEMU Machine Protocol one after the other, over a connection of its own: QEMU takes one at a time,
 * and an engine that died must not hold it. Resolves to what each returned, with `until` once that event was told as well;
 * throws `command_failed` at the first refusal.
 */
export async function qmp(
	path: string,
	commands: readonly Command[],
	{ timeoutMs = 20_000, until }: { timeoutMs?: number; until?: string } = {},
): Promise<unknown[]> {
	const socket = connect(path);
	socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`no answer in ${timeoutMs} ms`)));
	const lines = createInterface({ input: socket, crlfDelay: Number.POSITIVE_INFINITY });
	try {
		const answers: unknown[] = [];
		// All at once: QEMU answers in order, and a round trip each is what would cost time.
		const all: Command[] = [["qmp_capabilities"], ...commands];
		socket.write(all.map(([execute, args]) => `${JSON.stringify({ execute, arguments: args })}\n`).join(""));
		const lost = new Promise<never>((_, reject) => {
			socket.once("error", reject);
			socket.once("close", () => reject(new Error("QEMU closed the connection")));
		});
		lost.catch(() => undefined);
		const iterator = lines[Symbol.asyncIterator]();
		let told = until === undefined;
		while (answers.length < all.length || !told) {
			const { value, done } = await Promise.race([iterator.next(), lost]);
			if (done) await lost;
			const message = JSON.parse(value as string) as { return?: unknown; error?: { desc: string }; event?: string };
			if (message.error) throw failed(`QEMU's ${all[answers.length]?.[0]}`, "refused", message.error.desc);
			if ("return" in message) answers.push(message.return);
			told ||= message.event !== undefined && message.event === until;
		}
		return answers.slice(1);
	} catch (error) {
		if (error instanceof DormiceError) throw error;
		throw new DormiceError("command_failed", `QEMU's ${commands[0]?.[0]} failed: ${(error as Error).message}`, {
			cause: error,
		});
	} finally {
		lines.close();
		socket.destroy();
	}
}
