import { Command } from "commander";
import type { Config } from "../config.ts";
import { printJson, printLine } from "../output.ts";
import { takeDown } from "../platform/down.ts";
import { platformPaths } from "../platform/paths.ts";
import type { CommonOptions } from "../program.ts";
import { showProgress } from "../progress.ts";
import { requireRoot } from "../setup/root.ts";

export function downCommand(config: Config): Command {
	return new Command("down")
		.summary("stop the platform; sandboxes keep their disks")
		.description(
			"Stops the server, the sandboxes, the engine and PostgreSQL. Nothing of the platform is left running.\n" +
				"Paused sandboxes stay paused. Running ones keep their disk and boot from it at the next `up`;\n" +
				"pause those whose memory and processes matter.",
		)
		.addHelpText("after", "\nExample:\n  sudo dormice down")
		.action(async (options: CommonOptions) => {
			requireRoot("`dormice down`", "it ends processes of root");
			const paths = platformPaths(options.data ?? config.data);
			const wasUp = await takeDown(paths, config, showProgress());
			if (options.json) printJson({ wasUp });
			else printLine(wasUp ? "Dormice is down." : `Nothing to stop: no platform runs from ${paths.data}.`);
		});
}
