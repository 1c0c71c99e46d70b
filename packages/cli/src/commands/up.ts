import { Command } from "commander";
import { type Config, passingOn } from "../config.ts";
import { printJson, printLine } from "../output.ts";
import { runningKeeper } from "../platform/keeper.ts";
import { type PlatformPaths, platformPaths } from "../platform/paths.ts";
import { platformUrl, readSettings } from "../platform/settings.ts";
import { keep, keepInBackground, prepare, requireSame, startLock, waitUntilHealthy } from "../platform/up.ts";
import type { CommonOptions } from "../program.ts";
import { showProgress } from "../progress.ts";
import { requireRoot } from "../setup/root.ts";
import { endSignal } from "../signals.ts";
import { parseAnyPort } from "../values.ts";

interface UpOptions extends CommonOptions {
	port?: number;
	listen?: string;
	domain?: string;
	allowEmulation?: boolean;
	detach?: boolean;
}

export function upCommand(config: Config): Command {
	return new Command("up")
		.summary("start the platform; sets up what is missing")
		.description(
			"Starts the platform and keeps it running: PostgreSQL, the engine and the server, each started again when it ends.\n" +
				"Sets up first what is missing. Runs until Ctrl-C, or in the background with --detach.",
		)
		.option("--port <n>", "port of the API and of all sandboxes; 0 picks a free one (first time: 3999)", parseAnyPort)
		.option("--listen <host>", "address to listen on (first time: 127.0.0.1)")
		.option("--domain <name>", "sandboxes answer at <port>-<id>.<name>")
		.option(
			"--allow-emulation",
			"let sandboxes run in microVMs in software, if they ask for `microvm`: slow, for tests",
		)
		.option("--no-allow-emulation", "no longer")
		.option("--detach", "return when it is ready and keep it running in the background")
		.addHelpText(
			"after",
			`
What is chosen here is remembered in the data directory.

Examples:
  sudo dormice up --detach
  sudo dormice up --data /srv/dormice --port 0
  sudo DATABASE_URL=postgres://user:secret@db/dormice dormice up`,
		)
		.action((options: UpOptions) => {
			const { allowEmulation } = options;
			if (allowEmulation === undefined) return up(config, options);
			return up(passingOn(config, { DORMICE_ALLOW_EMULATION: allowEmulation ? "1" : "0" }), options);
		});
}

async function up(config: Config, options: UpOptions): Promise<void> {
	requireRoot("`dormice up`", "the engine makes namespaces, mounts and cgroups");
	const paths = platformPaths(options.data ?? config.data);
	const progress = showProgress();
	const choices = {
		...(options.port === undefined ? {} : { port: options.port }),
		...(options.listen === undefined ? {} : { listen: options.listen }),
		...(options.domain === undefined ? {} : { domain: options.domain }),
	};
	await using lock = await startLock(paths, progress);
	const keeper = runningKeeper(paths);
	if (keeper) {
		requireSame(paths, choices, config.passedOn);
		await waitUntilHealthy(paths, keeper);
		return announce(paths, options, "is already up");
	}
	await prepare(paths, config, choices, progress, { onPath: true });
	if (options.detach) {
		await keepInBackground(paths, progress);
		return announce(paths, options, "is up");
	}
	await keep(paths, config, {
		progress,
		signal: endSignal(),
		onReady: async () => {
			await lock[Symbol.asyncDispose]();
			announce(paths, options, "is up; Ctrl-C stops it");
		},
	});
}

function announce(paths: PlatformPaths, { json, data }: UpOptions, state: string): void {
	const url = platformUrl(readSettings(paths.settings));
	if (json) {
		printJson({ url, data: paths.data });
		return;
	}
	printLine(`Dormice ${state}: ${url}`);
	printLine(`For E2B clients: eval "$(dormice env${data ? ` --data ${paths.data}` : ""})"`);
}
