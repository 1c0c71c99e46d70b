import { Command } from "commander";
import type { Config } from "../config.ts";
import { printJson } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { connectTo, findTarget } from "../target.ts";
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
		.addHelpText("after", "\nExample:\n  dormice resume ID --timeout 3600")
		.action(async (id: string, options: CommonOptions & { timeout?: number; memory: boolean }) => {
			const sandbox = await connectTo(findTarget(config, options.data)).sandboxes.resume(id, {
				...(options.timeout === undefined ? {} : { timeoutS: options.timeout }),
				...(options.memory ? {} : { memory: false }),
			});
			if (options.json) printJson(sandbox.info);
		});
}
