import { Command } from "commander";
import type { Config } from "../config.ts";
import { printJson, printLine } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { fullId } from "../sandbox-id.ts";
import { connectTo, findTarget } from "../target.ts";

export function rollbackCommand(config: Config): Command {
	return new Command("rollback")
		.summary("put a sandbox back to what it was")
		.description(
			"Puts a sandbox back to a state of its history, memory and files. What it was until then is stored first; its id is\n" +
				"printed, and a rollback to that undoes this one.",
		)
		.argument("<id>", "sandbox")
		.argument("<generation>", "id or label of a stored state")
		.addHelpText("after", "\nExample:\n  dormice rollback ID before-upgrade")
		.action(async (id: string, generation: string, options: CommonOptions) => {
			const { sandboxes } = connectTo(findTarget(config, options.data));
			const result = await sandboxes.rollback(await fullId(sandboxes, id), generation);
			if (options.json) printJson(result);
			else printLine(result.replacedId);
		});
}
