import { DormiceError } from "@dormice/protocol";
import type { Execution } from "@dormice/sdk";

/** Types the end of input: a line that was begun takes a first one to be sent off. */
const END_OF_INPUT = "\x04";
const NEWLINE = 10;

/** Gives the command our standard input, to its end or until the command reads no more. Throws when some of it was lost. */
export async function sendInput(execution: Execution, options: { terminal: boolean }): Promise<void> {
	let last = NEWLINE;
	async function* input() {
		for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
			last = chunk.at(-1) ?? last;
			yield chunk;
		}
	}
	try {
		await execution.pid;
		await execution.writeAll(input());
		if (options.terminal) await execution.write(Buffer.from(END_OF_INPUT.repeat(last === NEWLINE ? 1 : 2)));
		else await execution.closeStdin();
	} catch (error) {
		if (!isOver(error)) throw error;
	}
}

/** The command has ended or closed its input, or we have closed ours. */
function isOver(error: unknown): boolean {
	if (error instanceof DormiceError) return error.reason === "process_not_found" || error.reason === "internal";
	const { code = "" } = error as NodeJS.ErrnoException;
	return ["ERR_STREAM_PREMATURE_CLOSE", "ABORT_ERR", "EIO"].includes(code);
}
