import { DormiceError } from "@dormice/protocol";
import type { Pty, Sandbox } from "@dormice/sdk";
import { Command } from "commander";
import { bestEffort } from "../best-effort.ts";
import type { Config } from "../config.ts";
import type { CommonOptions } from "../program.ts";
import { connectTo, findTarget } from "../target.ts";

/** An open terminal keeps its sandbox from timing out: this far ahead, looked at this often. */
const HOLD_S = 300;
const EXTEND_EVERY_MS = 60_000;

export function connectCommand(config: Config): Command {
	return new Command("connect")
		.summary("open a terminal in a sandbox")
		.description("Opens an interactive shell in a sandbox, waking it first when it is paused. `exit` or Ctrl-D leaves.")
		.argument("<id>", "sandbox")
		.option("--user <name>", "user to be")
		.option("--cwd <dir>", "working directory")
		.addHelpText("after", "\nExample:\n  dormice connect ID")
		.action(async (id: string, options: CommonOptions & { user?: string; cwd?: string }) => {
			if (!process.stdin.isTTY || !process.stdout.isTTY) {
				throw new DormiceError("invalid_argument", "`connect` needs a terminal; for scripts there is `dormice exec`");
			}
			const { sandboxes } = connectTo(findTarget(config, options.data));
			const sandbox = await sandboxes.resume(id, { timeoutS: HOLD_S });
			const hold = setInterval(() => {
				void bestEffort("hold the sandbox awake", sandboxes.extend(id, HOLD_S));
			}, EXTEND_EVERY_MS);
			try {
				process.exitCode = await openTerminal(sandbox, options);
			} finally {
				clearInterval(hold);
			}
		});
}

/** Joins our terminal and one in the sandbox until the shell there ends; answers its exit code. */
async function openTerminal(sandbox: Sandbox, options: { user?: string; cwd?: string }): Promise<number> {
	const { stdin, stdout } = process;
	const size = () => ({ columns: stdout.columns, rows: stdout.rows });
	const pty = await sandbox.pty({
		...size(),
		...(options.user === undefined ? {} : { user: options.user }),
		...(options.cwd === undefined ? {} : { cwd: options.cwd }),
	});
	const type = (data: Buffer): void => void bestEffort("type", pty.write(data));
	const resize = (): void => void bestEffort("resize", pty.resize(size()));
	stdin.setRawMode(true);
	stdin.on("data", type);
	stdout.on("resize", resize);
	try {
		return await show(pty, stdout);
	} finally {
		stdin.setRawMode(false);
		stdin.off("data", type);
		stdin.destroy();
		stdout.off("resize", resize);
	}
}

async function show({ output }: Pty, stdout: NodeJS.WriteStream): Promise<number> {
	for (;;) {
		const { done, value } = await output.next();
		if (done) return value;
		stdout.write(value);
	}
}
