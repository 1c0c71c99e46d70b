import { DormiceError } from "@dormice/protocol";
import { Command, InvalidArgumentError } from "commander";
import type { Config } from "../config.ts";
import { complain, describe } from "../failure.ts";
import { printJson, printLine } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { fullId } from "../sandbox-id.ts";
import { connectTo, findTarget } from "../target.ts";
import { showTokenOption, type TokenOptions, told } from "../tokens.ts";
import { parseSeconds } from "../values.ts";

interface ForkOptions extends CommonOptions, TokenOptions {
	count: number;
	timeout: number;
	from?: string;
}

export function forkCommand(config: Config): Command {
	return new Command("fork")
		.summary("make sandboxes that go on from another")
		.description(
			"Makes sandboxes that go on from what a running one is, or from a state of its history, and prints their ids.\n" +
				"The sandbox itself goes on.",
		)
		.argument("<id>", "sandbox")
		.option("--count <n>", "how many", parseCount, 1)
		.option(
			"--timeout <s>",
			"seconds until each is killed, or paused as the one it comes from would be",
			parseSeconds,
			300,
		)
		.option("--from <generation>", "id or label of a stored state of the sandbox, which may sleep")
		.addOption(showTokenOption())
		.addHelpText("after", "\nExamples:\n  dormice fork ID --count 4\n  dormice fork ID --from before-upgrade")
		.action(async (id: string, options: ForkOptions) => {
			const { sandboxes } = connectTo(findTarget(config, options.data));
			const forks = await sandboxes.fork(await fullId(sandboxes, id), {
				count: options.count,
				timeoutS: options.timeout,
				...(options.from === undefined ? {} : { generation: options.from }),
			});
			const failed = forks.filter((one) => one instanceof DormiceError);
			if (options.json) {
				printJson(
					forks.map((one) => (one instanceof DormiceError ? { error: describe(one) } : told(one.info, options))),
				);
			} else for (const one of forks) if (!(one instanceof DormiceError)) printLine(one.id);
			for (const error of failed) complain(error);
			if (failed.length > 0) process.exitCode = 1;
		});
}

function parseCount(text: string): number {
	const count = Number(text);
	if (/^\d+$/.test(text) && count >= 1 && count <= 100) return count;
	throw new InvalidArgumentError("a number from 1 to 100");
}
