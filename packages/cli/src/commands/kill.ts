import { Command } from "commander";
import type { Config } from "../config.ts";
import { complain, describe } from "../failure.ts";
import { printJson, printLine } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { fullId } from "../sandbox-id.ts";
import { connectTo, findTarget } from "../target.ts";

export function killCommand(config: Config): Command {
	return new Command("kill")
		.summary("end a sandbox for good")
		.description(
			"Ends sandboxes, running or paused, and deletes everything they stored. Prints the id of each that it ended, and\n" +
				"goes on past those it cannot.",
		)
		.argument("[id...]", "sandboxes")
		.option("--all", "all of them")
		.addHelpText("after", "\nExamples:\n  dormice kill ID\n  dormice kill $(dormice list -q --metadata job=nightly)")
		.action(async (texts: string[], options: CommonOptions & { all?: boolean }, command: Command) => {
			if ((options.all ?? false) === texts.length > 0) command.error("error: name sandboxes, or say --all");
			const { sandboxes } = connectTo(findTarget(config, options.data));
			const wanted = options.all ? await Array.fromAsync(sandboxes.list(), ({ sandboxId }) => sandboxId) : texts;
			const killed: string[] = [];
			const failed: { sandboxId: string; error: object }[] = [];
			for (const text of wanted) {
				try {
					const id = await fullId(sandboxes, text);
					await sandboxes.kill(id);
					killed.push(id);
					if (!options.json) printLine(id);
				} catch (error) {
					complain(error);
					failed.push({ sandboxId: text, error: describe(error) });
				}
			}
			if (options.json) printJson({ killed, failed });
			if (failed.length > 0) process.exitCode = 1;
		});
}
