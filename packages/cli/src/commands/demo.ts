import { mkdtempSync } from "node:fs";
import { Command } from "commander";
import { bestEffort } from "../best-effort.ts";
import { run } from "../command.ts";
import type { Config } from "../config.ts";
import { Timeline } from "../demo/timeline.ts";
import { printJson, printLine } from "../output.ts";
import { platformPaths } from "../platform/paths.ts";
import { withPlatform } from "../platform/with-platform.ts";
import type { CommonOptions } from "../program.ts";
import { showProgress } from "../progress.ts";
import { requireRoot } from "../setup/root.ts";
import { findTarget } from "../target.ts";

export function demoCommand(config: Config): Command {
	return new Command("demo")
		.summary("see a sandbox work, sleep and wake")
		.description(
			"Sets everything up from nothing, starts a platform on a free port, and tells the life of a sandbox with the\n" +
				"unmodified `e2b` client: each line says what was checked and how long it took. Then takes it all down again.",
		)
		.addHelpText(
			"after",
			`
Without --data it works in a temporary directory that is removed afterwards; with it, what was set up is kept
and the next demo starts in seconds. Exits with 0 only if every step was verified.

Examples:
  sudo dormice demo
  sudo dormice demo --data /var/lib/dormice-demo`,
		)
		.action(async (options: CommonOptions) => {
			requireRoot("`dormice demo`", "it starts a platform");
			const data = options.data ?? mkdtempSync("/var/tmp/dormice-demo-");
			const timeline = new Timeline(options.json ? () => undefined : printLine);
			const paths = platformPaths(data);
			try {
				await withPlatform(paths, config, showProgress(), async () => {
					const { tellStory } = await import("../demo/story.ts");
					await tellStory(timeline, findTarget(config, data), data);
				});
			} finally {
				if (options.json) printJson({ steps: timeline.moments });
				if (options.data === undefined) {
					await bestEffort("remove the temporary data", run(["rm", "-rf", "--one-file-system", paths.data, paths.run]));
				}
			}
		});
}
