import { Command } from "commander";
import type { Config } from "../config.ts";
import { printJson } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { fullId } from "../sandbox-id.ts";
import { connectTo, findTarget } from "../target.ts";
import { showTokenOption, type TokenOptions, told } from "../tokens.ts";
import { parseSeconds } from "../values.ts";

export function resumeCommand(config: Config): Command {
	return new Command("resume")
		.summary("wake a sandbox")
		.description(
			"Wakes a paused sandbox: its processes go on where they were. Of a running one it extends the timeout.",
		)
		.argument("<id>", "sandbox")
		.option("--timeout <s>", "seconds until its next timeout", parseSeconds)
		.option("--no-memory", "boot it anew from its disk")
		.addOption(showTokenOption())
		.addHelpText("after", "\nExample:\n  dormice resume ID --timeout 3600")
		.action(async (id: string, options: CommonOptions & TokenOptions & { timeout?: number; memory: boolean }) => {
			const { sandboxes } = connectTo(findTarget(config, options.data));
			const sandbox = await sandboxes.resume(await fullId(sandboxes, id), {
				...(options.timeout === undefined ? {} : { timeoutS: options.timeout }),
				...(options.memory ? {} : { memory: false }),
			});
			if (options.json) printJson(told(sandbox.info, options));
		});
}
