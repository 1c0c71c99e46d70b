import { DormiceError } from "@dormice/protocol";
import { Command } from "commander";
import { attach, terminalSize } from "../attach/attach.ts";
import { bestEffort } from "../best-effort.ts";
import type { Config } from "../config.ts";
import type { CommonOptions } from "../program.ts";
import { fullId } from "../sandbox-id.ts";
import { connectTo, findTarget } from "../target.ts";

/** An open terminal keeps its sandbox from timing out: this far ahead, looked at this often. */
const HOLD_S = 300;
const EXTEND_EVERY_MS = 60_000;

export function connectCommand(config: Config): Command {
	return new Command("connect")
		.summary("open a terminal in a sandbox")
		.description(
			"Opens an interactive shell in a sandbox, waking it first when it is paused. `exit` or Ctrl-D leaves;\n" +
				"who closes the terminal ends the shell.",
		)
		.argument("<id>", "sandbox")
		.option("-u, --user <name>", "user to be")
		.option("-w, --cwd <dir>", "working directory")
		.addHelpText("after", "\nExample:\n  dormice connect ID")
		.action(async (text: string, options: CommonOptions & { user?: string; cwd?: string }) => {
			if (!process.stdin.isTTY || !process.stdout.isTTY) {
				throw new DormiceError("invalid_argument", "`connect` needs a terminal; for scripts there is `dormice exec`");
			}
			const { sandboxes } = connectTo(findTarget(config, options.data));
			const id = await fullId(sandboxes, text);
			const sandbox = await sandboxes.resume(id, { timeoutS: HOLD_S });
			const hold = setInterval(() => {
				void bestEffort("hold the sandbox awake", sandboxes.extend(id, HOLD_S));
			}, EXTEND_EVERY_MS);
			try {
				const leave = new AbortController();
				const shell = sandbox.terminal(terminalSize(), {
					signal: leave.signal,
					...(options.user === undefined ? {} : { user: options.user }),
					...(options.cwd === undefined ? {} : { cwd: options.cwd }),
				});
				process.exitCode = await attach(shell, { input: true, terminal: true, leave });
			} finally {
				clearInterval(hold);
			}
		});
}
