import { Command } from "commander";
import type { Config } from "../config.ts";
import { printJson } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { connectTo, findTarget } from "../target.ts";

export function killCommand(config: Config): Command {
	return new Command("kill")
		.summary("end a sandbox for good")
		.description("Ends sandboxes, running or paused, and deletes everything they stored.")
		.argument("<id...>", "sandboxes")
		.addHelpText("after", "\nExample:\n  dormice kill ID")
		.action(async (ids: string[], options: CommonOptions) => {
			const { sandboxes } = connectTo(findTarget(config, options.data));
			for (const id of ids) await sandboxes.kill(id);
			if (options.json) printJson({ killed: ids });
		});
}
