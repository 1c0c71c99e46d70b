import { Command } from "commander";
import type { Config } from "../config.ts";
import { printJson } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { fullId } from "../sandbox-id.ts";
import { connectTo, findTarget } from "../target.ts";
import { showTokenOption, type TokenOptions, told } from "../tokens.ts";

export function inspectCommand(config: Config): Command {
	return new Command("inspect")
		.summary("all about a sandbox, as JSON")
		.description("Prints all that the platform knows of a sandbox, as JSON, with or without --json. Does not wake it.")
		.argument("<id>", "sandbox")
		.addOption(showTokenOption())
		.addHelpText("after", "\nExample:\n  dormice inspect ID | jq .lifecycle")
		.action(async (text: string, options: CommonOptions & TokenOptions) => {
			const { sandboxes } = connectTo(findTarget(config, options.data));
			const { info } = await sandboxes.get(await fullId(sandboxes, text));
			printJson(told(info, options));
		});
}
