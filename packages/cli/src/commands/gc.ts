import { Command } from "commander";
import type { Config } from "../config.ts";
import { printJson, printLine, size } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { connectTo, findTarget } from "../target.ts";

export function gcCommand(config: Config): Command {
	return new Command("gc")
		.summary("delete stored states that nothing needs")
		.description(
			"Deletes the stored states that nothing starts from and no retention keeps, and prints their ids. The platform does\n" +
				"so by itself every few minutes.",
		)
		.option("--dry-run", "only say what would be deleted")
		.addHelpText("after", "\nExample:\n  dormice gc --dry-run")
		.action(async (options: CommonOptions & { dryRun?: boolean }) => {
			const { storage } = connectTo(findTarget(config, options.data));
			const found = await storage.collect(options.dryRun ? { dryRun: true } : {});
			if (options.json) return printJson(found);
			for (const id of found.generationIds) printLine(id);
			printLine(
				`${found.generationIds.length} stored states, ${size(found.freedBytes)}${options.dryRun ? " would be free" : ""}`,
			);
		});
}
