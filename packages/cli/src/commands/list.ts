import type { SandboxInfo } from "@dormice/sdk";
import { Command, Option } from "commander";
import type { Config } from "../config.ts";
import { printJson, printTable } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { connectTo, findTarget } from "../target.ts";

export function listCommand(config: Config): Command {
	return new Command("list")
		.summary("list the sandboxes")
		.description("Lists the sandboxes, the newest first.")
		.addOption(new Option("--state <state>", "only these").choices(["running", "paused"]))
		.addHelpText("after", "\nExamples:\n  dormice list\n  dormice list --state paused --json")
		.action(async (options: CommonOptions & { state?: "running" | "paused" }) => {
			const { sandboxes } = connectTo(findTarget(config, options.data));
			const found = await Array.fromAsync(sandboxes.list(options.state ? { state: [options.state] } : {}));
			if (options.json) return printJson(found);
			printTable(
				["SANDBOX", "STATE", "ISOLATION", "TEMPLATE", "STARTED", "ENDS", "METADATA"],
				found.map((sandbox) => [
					sandbox.sandboxId,
					stateOf(sandbox),
					sandbox.isolation ?? "",
					sandbox.alias ?? sandbox.templateId,
					shortTime(sandbox.startedAt),
					sandbox.state === "paused" ? "-" : shortTime(sandbox.endAt),
					Object.entries(sandbox.metadata ?? {})
						.map(([name, value]) => `${name}=${value}`)
						.join(" "),
				]),
			);
		});
}

/** As clients see it, and in brackets where on the ladder it is, if that is elsewhere. */
function stateOf({ state, rung = state }: SandboxInfo): string {
	return state === "running" && rung !== state ? `${state} (${rung})` : (state ?? "");
}

/** RFC 3339 without the fraction. */
function shortTime(time: string | undefined): string {
	return time?.replace(/\.\d+/, "") ?? "";
}
