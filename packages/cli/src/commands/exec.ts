import { DormiceError } from "@dormice/protocol";
import type { ExecOptions as Options, OutputChunk, Sandbox } from "@dormice/sdk";
import { Command } from "commander";
import { attach, terminalSize } from "../attach/attach.ts";
import { isInForeground } from "../attach/foreground.ts";
import type { Config } from "../config.ts";
import { TIMEOUT_EXIT_CODE } from "../failure.ts";
import { printJson, printLine } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { fullId } from "../sandbox-id.ts";
import { connectTo, findTarget } from "../target.ts";
import { parseAssignment, parseSeconds } from "../values.ts";

interface ExecOptions extends CommonOptions {
	interactive?: boolean;
	tty?: boolean;
	detach?: boolean;
	user?: string;
	cwd?: string;
	env?: Record<string, string>;
	timeout?: number;
}

export function execCommand(config: Config): Command {
	return new Command("exec")
		.summary("run a command in a sandbox")
		.description(
			"Runs a command in a sandbox: its output comes as it is written, what is typed or piped in reaches it, and its exit\n" +
				"code becomes ours. One word is a shell line; several are a program and its arguments.",
		)
		.argument("<id>", "sandbox")
		.argument("<command...>", "what to run; options of ours go before it")
		.option("-i, --interactive", "give it our standard input (so it is by default)")
		.option("--no-interactive", "give it none: for a loop that reads its own input")
		.option("-t, --tty", "run it on a terminal (so it is by default when all of ours is one)")
		.option("-T, --no-tty", "run it on none: standard error stays apart")
		.option("-d, --detach", "leave it running and print its pid; `dormice logs ID --process PID` reads on")
		.option("-u, --user <name>", "user to run it as")
		.option("-w, --cwd <dir>", "working directory")
		.option("-e, --env <K=V>", "variable for this command (repeatable)", parseAssignment)
		.option("--timeout <s>", "kill it after this many seconds, and exit with 124", parseSeconds)
		.addHelpText(
			"after",
			`
Exits with the command's code, or 128 and the number of the signal that ended it; with 125 when it could not be run or
followed. Ctrl-C reaches it as SIGINT, and who goes away (a closed terminal, a pipe without a reader) ends it.
With --json, output that is no UTF-8 is in \`stdoutBase64\` and \`stderrBase64\`.

Examples:
  dormice exec ID python3
  dormice exec ID -- python3 -c 'print(6 * 7)'
  dormice exec ID 'ls *.py | wc -l'
  tar c . | dormice exec ID --cwd /home/user -- tar x`,
		)
		.action(async (id: string, command: string[], options: ExecOptions) => {
			const { sandboxes } = connectTo(findTarget(config, options.data));
			const sandbox = await sandboxes.get(await fullId(sandboxes, id));
			const what = command.length === 1 ? (command[0] ?? "") : command;
			const leave = new AbortController();
			const how: Options = {
				signal: leave.signal,
				...(options.user === undefined ? {} : { user: options.user }),
				...(options.cwd === undefined ? {} : { cwd: options.cwd }),
				...(options.env ? { env: options.env } : {}),
				...(options.timeout === undefined ? {} : { timeoutMs: options.timeout * 1000 }),
			};
			if (options.detach) {
				const pid = await sandbox.exec(what, how).pid;
				leave.abort();
				if (options.json) printJson({ sandboxId: sandbox.id, pid });
				else printLine(String(pid));
				return;
			}
			process.exitCode = await run(sandbox, what, how, { ...options, leave });
		});
}

type Joined = ExecOptions & { leave: AbortController };

async function run(sandbox: Sandbox, what: string | string[], how: Options, options: Joined): Promise<number> {
	const { json = false, leave } = options;
	const { input, terminal } = streams(options);
	const execution = sandbox.exec(what, { ...how, stdin: input, ...(terminal ? { terminal: terminalSize() } : {}) });
	const collected: OutputChunk[] = [];
	const onOutput = json ? { onOutput: (chunk: OutputChunk) => void collected.push(chunk) } : {};
	const result = (rest: object) => printJson({ ...rest, ...text("stdout", collected), ...text("stderr", collected) });
	try {
		const exitCode = await attach(execution, { input, terminal, leave, ...onOutput });
		if (json) result({ exitCode });
		return exitCode;
	} catch (error) {
		if (!json || !(error instanceof DormiceError) || error.reason !== "deadline_exceeded") throw error;
		result({ exitCode: TIMEOUT_EXIT_CODE, timedOut: true });
		return TIMEOUT_EXIT_CODE;
	}
}

/** Without a word: our input always, unless that would stop us; a terminal when all of ours is one. */
function streams({ interactive, tty, json = false }: ExecOptions): { input: boolean; terminal: boolean } {
	const { stdin, stdout, stderr } = process;
	const readable = !stdin.isTTY || isInForeground();
	const input = interactive ?? readable;
	const isTerminal = stdin.isTTY && stdout.isTTY && stderr.isTTY;
	return { input, terminal: tty ?? (isTerminal && input && readable && !json) };
}

/** As text when it is some, else as it is. */
function text(stream: OutputChunk["stream"], chunks: readonly OutputChunk[]): Record<string, string> {
	const bytes = Buffer.concat(chunks.filter((chunk) => chunk.stream === stream).map(({ data }) => data));
	try {
		return { [stream]: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes) };
	} catch {
		return { [`${stream}Base64`]: bytes.toString("base64") };
	}
}
