import { Command } from "commander";
import type { Config } from "../config.ts";
import { printJson, printLine } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { fullId } from "../sandbox-id.ts";
import { connectTo, findTarget } from "../target.ts";
import { parseSeconds } from "../values.ts";

export function extendCommand(config: Config): Command {
	return new Command("extend")
		.summary("give a sandbox more time")
		.description("Puts a sandbox's timeout at least so many seconds from now, never sooner than it was, and prints it.")
		.argument("<id>", "sandbox")
		.argument("<seconds>", "how long it has at least", parseSeconds)
		.addHelpText("after", "\nExample:\n  dormice extend ID 3600")
		.action(async (text: string, seconds: number, options: CommonOptions) => {
			const { sandboxes } = connectTo(findTarget(config, options.data));
			const id = await fullId(sandboxes, text);
			const ends = async () => (await sandboxes.get(id)).info.endAt ?? "";
			if (Date.parse(await ends()) < Date.now() + seconds * 1000) await sandboxes.setTimeout(id, seconds);
			const endAt = await ends();
			if (options.json) printJson({ sandboxId: id, endAt });
			else printLine(endAt);
		});
}
