import { Command } from "commander";
import type { Config } from "../config.ts";
import { printJson } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { fullId } from "../sandbox-id.ts";
import { connectTo, findTarget } from "../target.ts";

export function pauseCommand(config: Config): Command {
	return new Command("pause")
		.summary("put a sandbox to sleep")
		.description(
			"Stores a sandbox with its memory, processes and files, and frees what it used on the host.\n" +
				"Returns when that is safely on the disk.",
		)
		.argument("<id>", "sandbox")
		.option("--no-memory", "store only its disk: it boots anew when it wakes")
		.addHelpText("after", "\nExample:\n  dormice pause ID")
		.action(async (text: string, options: CommonOptions & { memory: boolean }) => {
			const { sandboxes } = connectTo(findTarget(config, options.data));
			const id = await fullId(sandboxes, text);
			await sandboxes.pause(id, options.memory ? {} : { memory: false });
			if (options.json) printJson({ sandboxId: id, state: "paused" });
		});
}
