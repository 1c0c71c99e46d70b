import { Command } from "commander";
import type { Config } from "../config.ts";
import { printJson, printTable, size } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { fullId } from "../sandbox-id.ts";
import { connectTo, findTarget } from "../target.ts";

export function historyCommand(config: Config): Command {
	return new Command("history")
		.summary("list the stored states of a sandbox")
		.description("Lists the stored states of a sandbox, the newest first. A * marks the one it sleeps in or grew from.")
		.argument("<id>", "sandbox")
		.addHelpText("after", "\nExample:\n  dormice history ID")
		.action(async (id: string, options: CommonOptions) => {
			const { sandboxes } = connectTo(findTarget(config, options.data));
			const stored = await sandboxes.history(await fullId(sandboxes, id));
			if (options.json) return printJson(stored);
			printTable(
				["", "GENERATION", "MADE", "WHY", "LABEL", "MEMORY", "DISK", "PARENT"],
				stored.map((one) => [
					one.current ? "*" : "",
					one.generationId,
					one.createdAt.replace(/\.\d+/, ""),
					one.corrupt ? `${one.reason}, damaged` : one.reason,
					one.label ?? "-",
					one.memory ? size(one.memoryBytes) : "-",
					size(one.diskBytes),
					one.parentId ?? "-",
				]),
			);
		});
}
