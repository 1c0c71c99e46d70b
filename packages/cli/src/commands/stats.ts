import { Command } from "commander";
import type { Config } from "../config.ts";
import { printJson, printTable, size } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { fullId } from "../sandbox-id.ts";
import { connectTo, findTarget } from "../target.ts";

/** As many ids as fit into an address. */
const AT_ONCE = 100;

export function statsCommand(config: Config): Command {
	return new Command("stats")
		.summary("what sandboxes use")
		.description("Prints what running sandboxes used when the platform last looked. Wakes none.")
		.argument("[id...]", "sandboxes; without, all that run")
		.addHelpText("after", "\nExamples:\n  dormice stats\n  watch dormice stats ID")
		.action(async (texts: string[], options: CommonOptions) => {
			const { sandboxes } = connectTo(findTarget(config, options.data));
			const ids =
				texts.length > 0
					? await Promise.all(texts.map((text) => fullId(sandboxes, text)))
					: await Array.fromAsync(sandboxes.list({ state: ["running"] }), ({ sandboxId }) => sandboxId);
			const found = [];
			for (let at = 0; at < ids.length; at += AT_ONCE) {
				const metrics = await sandboxes.newestMetrics(ids.slice(at, at + AT_ONCE));
				for (const [sandboxId, metric] of Object.entries(metrics)) found.push({ sandboxId, ...metric });
			}
			if (options.json) return printJson(found);
			printTable(
				["SANDBOX", "CPU", "OF", "MEMORY", "OF", "DISK", "OF", "AT"],
				found.map((one) => [
					one.sandboxId,
					`${one.cpuUsedPct.toFixed(1)} %`,
					`${one.cpuCount} CPUs`,
					size(one.memUsed),
					size(one.memTotal),
					size(one.diskUsed),
					size(one.diskTotal),
					one.timestamp.replace(/\.\d+/, ""),
				]),
			);
		});
}
