import { mkdtempSync } from "node:fs";
import { Command, Option } from "commander";
import { bestEffort } from "../best-effort.ts";
import { run } from "../command.ts";
import { type Config, passingOn } from "../config.ts";
import { Timeline } from "../demo/timeline.ts";
import { ISOLATION_WISHES, type IsolationWish } from "../isolation.ts";
import { printJson, printLine } from "../output.ts";
import { platformPaths } from "../platform/paths.ts";
import { withPlatform } from "../platform/with-platform.ts";
import type { CommonOptions } from "../program.ts";
import { showProgress } from "../progress.ts";
import { requireRoot } from "../setup/root.ts";
import { findTarget } from "../target.ts";

interface DemoOptions extends CommonOptions {
	isolation?: IsolationWish;
	allowEmulation?: boolean;
}

export function demoCommand(config: Config): Command {
	return new Command("demo")
		.summary("see a sandbox work, sleep and wake")
		.description(
			"Sets everything up from nothing, starts a platform on a free port, and tells the life of a sandbox with the\n" +
				"unmodified `e2b` client: each line says what was checked and how long it took. Then takes it all down again.",
		)
		.addOption(new Option("--isolation <what>", "what keeps the sandbox apart").choices(ISOLATION_WISHES))
		.option("--allow-emulation", "let it run in a microVM in software: slow")
		.addHelpText(
			"after",
			`
Without --data it works in a temporary directory that is removed afterwards; with it, what was set up is kept
and the next demo starts in seconds. Exits with 0 only if every step was verified.

Examples:
  sudo dormice demo
  sudo dormice demo --data /var/lib/dormice-demo
  sudo dormice demo --isolation microvm --allow-emulation`,
		)
		.action(async (options: DemoOptions) => {
			requireRoot("`dormice demo`", "it starts a platform");
			const data = options.data ?? mkdtempSync("/var/tmp/dormice-demo-");
			const timeline = new Timeline(options.json ? () => undefined : printLine);
			const paths = platformPaths(data);
			try {
				const allowed = options.allowEmulation ? passingOn(config, { DORMICE_ALLOW_EMULATION: "1" }) : config;
				const tell = async () => {
					const { tellStory } = await import("../demo/story.ts");
					await tellStory(timeline, findTarget(config, data), { dataDir: data, isolation: options.isolation });
				};
				await withPlatform(paths, allowed, showProgress(), tell, { microvms: options.isolation === "microvm" });
			} finally {
				if (options.json) printJson({ steps: timeline.moments });
				if (options.data === undefined) {
					await bestEffort("remove the temporary data", run(["rm", "-rf", "--one-file-system", paths.data, paths.run]));
				}
			}
		});
}
