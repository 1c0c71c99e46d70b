import { Command } from "commander";
import type { Config } from "../config.ts";
import { printJson, printLine } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { connectTo, findTarget } from "../target.ts";
import { parseAssignment, parseSeconds } from "../values.ts";

interface CreateOptions extends CommonOptions {
	template?: string;
	timeout?: number;
	env?: Record<string, string>;
	metadata?: Record<string, string>;
	autoPause?: boolean;
	autoResume?: boolean;
}

export function createCommand(config: Config): Command {
	return new Command("create")
		.summary("make a sandbox and print its id")
		.description("Makes a sandbox and prints its id when it can be worked in.")
		.option("--template <name>", "template to make it from", "base")
		.option("--timeout <s>", "seconds until it is killed, or paused with --auto-pause", parseSeconds)
		.option("--env <K=V>", "variable for everything that runs in it (repeatable)", parseAssignment)
		.option("--metadata <K=V>", "label to find it by (repeatable)", parseAssignment)
		.option("--auto-pause", "at its timeout, pause it instead of killing it")
		.option("--auto-resume", "a request to it wakes it when it is paused")
		.addHelpText(
			"after",
			`
Examples:
  dormice create
  dormice create --timeout 3600 --auto-pause --auto-resume --env DEBUG=1
  ID=$(dormice create)`,
		)
		.action(async (options: CreateOptions) => {
			const sandbox = await connectTo(findTarget(config, options.data)).sandboxes.create({
				template: options.template ?? "base",
				...(options.timeout === undefined ? {} : { timeoutS: options.timeout }),
				...(options.env ? { env: options.env } : {}),
				...(options.metadata ? { metadata: options.metadata } : {}),
				...(options.autoPause ? { autoPause: true } : {}),
				...(options.autoResume ? { autoResume: true } : {}),
			});
			if (options.json) printJson(sandbox.info);
			else printLine(sandbox.id);
		});
}
