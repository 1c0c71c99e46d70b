import { Command } from "commander";
import { bestEffort } from "../best-effort.ts";
import type { Config } from "../config.ts";
import { printJson, printLine } from "../output.ts";
import { platformPaths } from "../platform/paths.ts";
import { platformStatus } from "../platform/status.ts";
import type { CommonOptions } from "../program.ts";
import { connectTo, findTarget } from "../target.ts";

export function statusCommand(config: Config): Command {
	return new Command("status")
		.summary("what runs")
		.description("Shows whether the platform is up, its address, its processes and how many sandboxes it has.")
		.addHelpText(
			"after",
			`
Exits with 0 also when the platform is down, or there is none: look at "running" and "setUp" of --json.

Example:
  dormice status --json`,
		)
		.action(async (options: CommonOptions) => {
			const status = await platformStatus(platformPaths(options.data ?? config.data));
			// Needs the key, which only root can read: the rest of the status does not.
			const sandboxes = status.running
				? await bestEffort("count the sandboxes", countSandboxes(config, options.data))
				: undefined;
			if (options.json) return printJson({ ...status, ...(sandboxes ? { sandboxes } : {}) });
			if (!status.setUp) {
				printLine(`There is no platform in ${status.data}. \`dormice up\` makes one; --data names another directory.`);
				const { apiUrl } = config.remote;
				if (apiUrl !== undefined && options.data === undefined)
					printLine(`Sandbox commands go to ${apiUrl}, of E2B_API_URL.`);
				return;
			}
			printLine(`Dormice is ${status.running ? `up: ${status.url}` : `not up (${status.health})`}`);
			printLine(`  data       ${status.data}`);
			for (const [name, { pid }] of Object.entries(status.processes)) printLine(`  ${name.padEnd(9)}  process ${pid}`);
			if (sandboxes) {
				const { running, dozing, asleep, paused } = sandboxes;
				printLine(`  sandboxes  ${running} running (${dozing} of them dozing, ${asleep} asleep), ${paused} paused`);
				const kinds = Object.entries(sandboxes.isolations).map(([isolation, count]) => `${count} ${isolation}`);
				if (kinds.length > 0) printLine(`  isolation  ${kinds.join(", ")}`);
			}
		});
}

/** How many there are. Those that doze or that were put to sleep unasked are among the running. */
async function countSandboxes(config: Config, data: string | undefined) {
	const isolations: Record<string, number> = {};
	const counts = { running: 0, dozing: 0, asleep: 0, paused: 0, isolations };
	for await (const { state, rung, isolation } of connectTo(findTarget(config, data)).sandboxes.list()) {
		if (state) counts[state]++;
		if (isolation) isolations[isolation] = (isolations[isolation] ?? 0) + 1;
		if (state === "running" && (rung === "dozing" || rung === "asleep")) counts[rung]++;
	}
	return counts;
}
