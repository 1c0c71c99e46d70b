import type { SandboxInfo } from "@dormice/sdk";
import { Command, Option } from "commander";
import type { Config } from "../config.ts";
import { printJson, printLine, printTable } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { connectTo, findTarget } from "../target.ts";
import { parseAssignment } from "../values.ts";

interface ListOptions extends CommonOptions {
	state?: "running" | "paused";
	metadata?: Record<string, string>;
	quiet?: boolean;
}

export function listCommand(config: Config): Command {
	return new Command("list")
		.summary("list the sandboxes")
		.description("Lists the sandboxes, the newest first.")
		.addOption(new Option("--state <state>", "only these").choices(["running", "paused"]))
		.option("--metadata <K=V>", "only those that have this label (repeatable)", parseAssignment)
		.option("-q, --quiet", "print ids only")
		.addHelpText(
			"after",
			"\nExamples:\n  dormice list\n  dormice list --state paused --json\n  dormice list -q --metadata job=nightly",
		)
		.action(async (options: ListOptions) => {
			const { sandboxes } = connectTo(findTarget(config, options.data));
			const found = await Array.fromAsync(
				sandboxes.list({
					...(options.state ? { state: [options.state] } : {}),
					...(options.metadata ? { metadata: options.metadata } : {}),
				}),
			);
			if (options.json) return printJson(found);
			if (options.quiet) {
				for (const { sandboxId } of found) printLine(sandboxId);
				return;
			}
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
