import { spawnSync } from "node:child_process";
import type { Execution, OutputChunk, TerminalSize } from "@dormice/sdk";
import { bestEffort } from "../best-effort.ts";
import { isOutputGone } from "../output-gone.ts";
import { Ending } from "./ending.ts";
import { sendInput } from "./input.ts";

export interface Attachment {
	/** Our standard input is the command's. */
	input: boolean;
	/** It runs on a terminal, which ours shows. */
	terminal: boolean;
	/** Ends the execution's stream, so that we can go. */
	leave: AbortController;
	/** Hears the output; without, it goes to ours. */
	onOutput?: (chunk: OutputChunk) => void | Promise<void>;
}

/** Joins our standard streams, signals and terminal to a command's until it ends. Answers the exit code to end with. */
export async function attach(execution: Execution, options: Attachment): Promise<number> {
	const { input, terminal, leave, onOutput = show } = options;
	const { stdin } = process;
	using ending = new Ending(execution, () => leave.abort());
	// Standard input may still be open at the end, and would keep us here. The terminal is put back before.
	using _input = input ? { [Symbol.dispose]: () => stdin.destroy() } : undefined;
	using _terminal = terminal ? follow(execution, { raw: input && stdin.isTTY }) : undefined;
	let failure: unknown;
	if (input) {
		void sendInput(execution, { terminal }).catch(async (error: unknown) => {
			if (execution.exitCode !== undefined || leave.signal.aborted) return;
			failure = error;
			// It would take what has come for all there is.
			await bestEffort("end the command", execution.kill("SIGKILL"));
			leave.abort();
		});
	}
	try {
		for await (const chunk of execution) await onOutput(chunk);
	} catch (error) {
		if (failure === undefined && ending.exitCode !== undefined) return ending.exitCode;
		throw failure ?? error;
	}
	if (failure !== undefined) throw failure;
	return ending.exitCode ?? execution.exitCode ?? 1;
}

/** The size of our terminal; that of an old one where there is none. */
export function terminalSize(): TerminalSize {
	return { columns: process.stdout.columns || 80, rows: process.stdout.rows || 24 };
}

/** Every key goes to the command's terminal, and it is always as large as ours. */
function follow(execution: Execution, { raw }: { raw: boolean }): Disposable {
	const { stdin, stdout } = process;
	const resize = (): void => void bestEffort("resize the terminal", execution.resize(terminalSize()));
	if (raw) {
		stdin.setRawMode(true);
		// Node's raw mode still makes "\r\n" of "\n", which a full-screen program means as "one line down".
		spawnSync("stty", ["-opost"], { stdio: ["inherit", "ignore", "ignore"] });
	}
	stdout.on("resize", resize);
	return {
		[Symbol.dispose]: () => {
			stdout.off("resize", resize);
			if (raw) stdin.setRawMode(false);
		},
	};
}

async function show({ stream, data }: OutputChunk): Promise<void> {
	await new Promise<void>((resolve, reject) => {
		process[stream].write(data, (error) => {
			// Who watches the output knows that it is gone, and ends the command.
			if (error && !isOutputGone(error)) reject(error);
			else resolve();
		});
	});
}
