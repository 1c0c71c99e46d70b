import { Command } from "commander";
import type { Config } from "../config.ts";
import { printJson, printLine } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { findTarget } from "../target.ts";

export function envCommand(config: Config): Command {
	return new Command("env")
		.summary("print what E2B clients need")
		.description("Prints the variables that point E2B clients at this platform.")
		.addHelpText("after", '\nExample:\n  eval "$(sudo dormice env)"')
		.action((options: CommonOptions) => {
			const { apiKey, apiUrl, sandboxUrl } = findTarget(config, options.data);
			const variables = { E2B_API_KEY: apiKey, E2B_API_URL: apiUrl, E2B_SANDBOX_URL: sandboxUrl };
			if (options.json) return printJson(variables);
			for (const [name, value] of Object.entries(variables)) printLine(`export ${name}=${value}`);
		});
}
