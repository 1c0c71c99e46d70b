import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { DormiceError } from "@dormice/protocol";

export interface CommandOptions {
	/** Hears every line of both outputs as it comes. */
	onLine?: (line: string) => void;
	env?: NodeJS.ProcessEnv;
	cwd?: string;
	input?: string;
	signal?: AbortSignal;
}

const KEPT_LINES = 12;

/** Runs a program to its end and answers its standard output. Throws with the last lines when it fails. */
export async function run(command: readonly string[], options: CommandOptions = {}): Promise<string> {
	const [program, ...args] = command;
	if (program === undefined) throw new DormiceError("internal", "No program to run");
	const child = spawn(program, args, {
		stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
		...(options.env ? { env: options.env } : {}),
		...(options.cwd ? { cwd: options.cwd } : {}),
		...(options.signal ? { signal: options.signal } : {}),
	});
	const output: string[] = [];
	const last: string[] = [];
	const hear = (line: string): void => {
		options.onLine?.(line);
		last.push(line);
		if (last.length > KEPT_LINES) last.shift();
	};
	const ended = new Promise<string | undefined>((resolve) => {
		child.once("error", (error) => resolve(error.message));
		child.once("close", (code, signal) => resolve(code === 0 ? undefined : (signal ?? `exit code ${code}`)));
	});
	if (child.stdout) {
		createInterface(child.stdout).on("line", (line) => {
			output.push(line);
			hear(line);
		});
	}
	if (child.stderr) createInterface(child.stderr).on("line", hear);
	child.stdin?.end(options.input);
	const failure = await ended;
	if (failure !== undefined) {
		// A script among the words would hide what matters.
		const words = command.filter((word) => !word.includes("\n")).join(" ");
		throw new DormiceError("command_failed", [`${words.slice(0, 300)}: ${failure}`, ...last].join("\n  "));
	}
	return output.join("\n");
}
