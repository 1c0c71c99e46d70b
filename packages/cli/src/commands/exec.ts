import type { Execution } from "@dormice/sdk";
import { Command } from "commander";
import { bestEffort } from "../best-effort.ts";
import type { Config } from "../config.ts";
import { printJson } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { connectTo, findTarget } from "../target.ts";
import { parseAssignment, parseSeconds } from "../values.ts";

interface ExecOptions extends CommonOptions {
	user?: string;
	cwd?: string;
	env?: Record<string, string>;
	timeout?: number;
}

export function execCommand(config: Config): Command {
	return new Command("exec")
		.summary("run a command in a sandbox")
		.description(
			"Runs a command in a sandbox: its output comes as it is written, its exit code becomes ours,\n" +
				"and what is piped in reaches it. One word is a shell line; several are a program and its arguments.",
		)
		.argument("<id>", "sandbox")
		.argument("<command...>", "what to run; put -- before it")
		.option("--user <name>", "user to run it as")
		.option("--cwd <dir>", "working directory")
		.option("--env <K=V>", "variable for this command (repeatable)", parseAssignment)
		.option("--timeout <s>", "kill it after this many seconds", parseSeconds)
		.addHelpText(
			"after",
			`
Examples:
  dormice exec ID -- python3 -c 'print(6 * 7)'
  dormice exec ID -- 'ls *.py | wc -l'
  tar c . | dormice exec ID --cwd /home/user -- tar x`,
		)
		.action(async (id: string, command: string[], options: ExecOptions) => {
			const sandbox = await connectTo(findTarget(config, options.data)).sandboxes.get(id);
			const piped = !process.stdin.isTTY;
			const execution = sandbox.exec(command.length === 1 ? (command[0] ?? "") : command, {
				stdin: piped,
				...(options.user === undefined ? {} : { user: options.user }),
				...(options.cwd === undefined ? {} : { cwd: options.cwd }),
				...(options.env ? { env: options.env } : {}),
				...(options.timeout === undefined ? {} : { timeoutMs: options.timeout * 1000 }),
			});
			using _signals = forwardSignals(execution);
			if (piped) void bestEffort("send standard input", sendInput(execution));
			if (options.json) {
				const result = await execution.result();
				printJson(result);
			} else {
				for await (const { stream, data } of execution) await write(process[stream], data);
			}
			// Standard input may still be open; nobody reads it any more.
			process.stdin.destroy();
			process.exitCode = execution.exitCode ?? 1;
		});
}

async function sendInput(execution: Execution): Promise<void> {
	await execution.pid;
	for await (const chunk of process.stdin) await execution.write(chunk as Buffer);
	await execution.closeStdin();
}

async function write(stream: NodeJS.WriteStream, data: Uint8Array): Promise<void> {
	await new Promise<void>((resolve, reject) => {
		stream.write(data, (error) => (error ? reject(error) : resolve()));
	});
}

/** The first request to end reaches the command as SIGTERM, a second as SIGKILL. */
function forwardSignals(execution: Execution): Disposable {
	let signal: "SIGTERM" | "SIGKILL" = "SIGTERM";
	const forward = (): void => {
		void bestEffort("signal the command", execution.kill(signal));
		signal = "SIGKILL";
	};
	const names = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
	for (const name of names) process.on(name, forward);
	return {
		[Symbol.dispose]: () => {
			for (const name of names) process.off(name, forward);
		},
	};
}
