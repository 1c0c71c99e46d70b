import { Command, Option } from "commander";
import type { Config } from "../config.ts";
import { ISOLATION_WISHES, type IsolationWish, prepareFor } from "../isolation.ts";
import { printJson, printLine } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { showProgress } from "../progress.ts";
import { connectTo, findTarget } from "../target.ts";
import { showTokenOption, type TokenOptions, told } from "../tokens.ts";
import { parseAssignment, parseDelay, parseSeconds } from "../values.ts";

interface CreateOptions extends CommonOptions, TokenOptions {
	template?: string;
	timeout?: number;
	env?: Record<string, string>;
	metadata?: Record<string, string>;
	autoPause?: boolean;
	autoResume?: boolean;
	isolation?: IsolationWish;
	doze?: "idle" | "always";
	dozeAfter?: number;
	sleepAfter?: number;
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
		.addOption(
			new Option("--isolation <what>", "what keeps it apart; `auto`: the strongest to be had unasked").choices(
				ISOLATION_WISHES,
			),
		)
		.addOption(new Option("--doze <when>", "freeze it also while its processes wait").choices(["idle", "always"]))
		.option("--doze-after <s>", "seconds of quiet until it is frozen in RAM; 0: never", parseDelay)
		.option("--sleep-after <s>", "seconds of that until it is put to sleep; 0: never", parseDelay)
		.addOption(showTokenOption())
		.addHelpText(
			"after",
			`
Examples:
  dormice create
  dormice create --timeout 3600 --auto-pause --auto-resume --env DEBUG=1
  dormice create --isolation microvm
  ID=$(dormice create)`,
		)
		.action(async (options: CreateOptions) => {
			const { sandboxes, templates } = connectTo(findTarget(config, options.data));
			const { template = "base", isolation } = options;
			if (isolation !== undefined) await prepareFor(templates, template, isolation, showProgress());
			const sandbox = await sandboxes.create({
				template,
				...(isolation === undefined ? {} : { isolation }),
				...(options.timeout === undefined ? {} : { timeoutS: options.timeout }),
				...(options.env ? { env: options.env } : {}),
				...(options.metadata ? { metadata: options.metadata } : {}),
				...(options.autoPause ? { autoPause: true } : {}),
				...(options.autoResume ? { autoResume: true } : {}),
				rest: {
					...(options.doze === undefined ? {} : { doze: options.doze }),
					...(options.dozeAfter === undefined ? {} : { dozeAfterMs: options.dozeAfter * 1000 }),
					...(options.sleepAfter === undefined ? {} : { sleepAfterMs: options.sleepAfter * 1000 }),
				},
			});
			if (options.json) printJson(told(sandbox.info, options));
			else printLine(sandbox.id);
		});
}
