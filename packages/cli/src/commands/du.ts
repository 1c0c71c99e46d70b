import { Command } from "commander";
import type { Config } from "../config.ts";
import { printJson, printLine, printTable, size } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { connectTo, findTarget } from "../target.ts";

export function duCommand(config: Config): Command {
	return new Command("du")
		.summary("show what takes how much storage")
		.description(
			"Shows what each sandbox, template and snapshot holds of the platform's storage, disks and stored states together.\n" +
				"What several share counts in each; FREED is what would be free without that one.\nWith a member's key: what its team has.",
		)
		.addHelpText("after", "\nExample:\n  dormice du")
		.action(async (options: CommonOptions) => {
			const usage = await connectTo(findTarget(config, options.data)).storage.usage();
			if (options.json) return printJson(usage);
			const rows = [
				...usage.sandboxes.map((one) => ({ kind: "sandbox", name: one.sandboxId, ...one })),
				...usage.snapshots.map((one) => ({ kind: "snapshot", name: one.snapshotId, ...one })),
				...(usage.templates ?? []).map((one) => ({ kind: "template", name: one.alias ?? one.templateId, ...one })),
			];
			printTable(
				["KIND", "NAME", "STATES", "HOLDS", "SHARED", "FREED"],
				rows.map(({ kind, name, generations, bytes, sharedBytes, freedBytes }) => [
					kind,
					name,
					String(generations),
					size(bytes),
					size(sharedBytes),
					size(freedBytes),
				]),
			);
			const { generationIds, freedBytes } = usage.superfluous;
			if (generationIds.length > 0)
				printLine(`superfluous: ${generationIds.length} stored states, ${size(freedBytes)}`);
			const { freeBytes, totalBytes } = usage;
			if (freeBytes !== undefined && totalBytes !== undefined) {
				printLine(`${size(freeBytes)} of ${size(totalBytes)} are free`);
			}
		});
}
