import { Command } from "commander";
import type { Config } from "../config.ts";
import { printJson, printLine } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { fullId } from "../sandbox-id.ts";
import { connectTo, findTarget } from "../target.ts";

export function checkpointCommand(config: Config): Command {
	return new Command("checkpoint")
		.summary("store a sandbox as it is now")
		.description(
			"Stores a sandbox as it is now, memory and files, and lets it go on. Prints the id of what was stored,\n" +
				"which `rollback` and `fork` go back to. Connections to it are reset.",
		)
		.argument("<id>", "sandbox")
		.option("--label <name>", "what to call it")
		.addHelpText("after", "\nExample:\n  dormice checkpoint ID --label before-upgrade")
		.action(async (id: string, options: CommonOptions & { label?: string }) => {
			const { sandboxes } = connectTo(findTarget(config, options.data));
			const stored = await sandboxes.checkpoint(
				await fullId(sandboxes, id),
				options.label === undefined ? {} : { label: options.label },
			);
			if (options.json) printJson(stored);
			else printLine(stored.generationId);
		});
}
