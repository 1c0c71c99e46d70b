import { ISOLATIONS, type Isolation } from "@dormice/protocol";
import { Command, Option } from "commander";
import type { Config } from "../config.ts";
import { printJson, printLine } from "../output.ts";
import { buildBase } from "../platform/engine.ts";
import { runningKeeper } from "../platform/keeper.ts";
import { type PlatformPaths, platformPaths } from "../platform/paths.ts";
import { readVariables } from "../platform/settings.ts";
import { keep, prepare, startLock, waitUntilHealthy } from "../platform/up.ts";
import type { CommonOptions } from "../program.ts";
import { type Progress, showProgress, step } from "../progress.ts";
import { requireRoot } from "../setup/root.ts";
import { type SetupWishes, setUp } from "../setup/setup.ts";
import { endSignal } from "../signals.ts";
import { parseAnyPort } from "../values.ts";

interface SetupOptions extends CommonOptions {
	port?: number;
	isolation?: Isolation;
}

export function setupCommand(config: Config): Command {
	return new Command("setup")
		.summary("install and build everything the platform needs")
		.description(
			"Installs Debian packages, makes the user and the data directory, builds the supervisor and the base template,\n" +
				"and starts the platform once to see it work. Leaves it up or down as it was.\n" +
				"Doing it again is quick and harmless; when it was interrupted, it goes on where it stopped.",
		)
		.option("--port <n>", "port of the API and of all sandboxes; 0 picks a free one (first time: 3999)", parseAnyPort)
		.addOption(
			new Option("--isolation <what>", "also set up what this needs: microvm takes QEMU and a kernel").choices(
				ISOLATIONS,
			),
		)
		.addHelpText(
			"after",
			"\nExamples:\n  sudo dormice setup --data /srv/dormice\n  sudo dormice setup --isolation microvm",
		)
		.action(async (options: SetupOptions) => {
			requireRoot("`dormice setup`", "it installs packages and makes a user");
			const paths = platformPaths(options.data ?? config.data);
			const progress = showProgress();
			await using _lock = await startLock(paths, progress);
			if (runningKeeper(paths)) await refresh(paths, config, options, progress);
			else await startOnce(paths, config, options, progress);
			if (options.json) printJson({ data: paths.data, ready: true });
			else printLine("Dormice is set up.");
		});
}

/** The platform is up: only completes what is missing. */
async function refresh(paths: PlatformPaths, config: Config, options: SetupOptions, progress: Progress): Promise<void> {
	const keeper = runningKeeper(paths);
	const variables = readVariables(paths.variables, config.passedOn);
	await setUp({ paths, path: config.path, variables, progress, ...wishes(options) });
	if (keeper) await waitUntilHealthy(paths, keeper);
	await step(progress, "Base template", (line) => buildBase(paths, line, endSignal()));
}

/** Starts the platform, which builds the base template, and stops it when it is ready. */
async function startOnce(
	paths: PlatformPaths,
	config: Config,
	options: SetupOptions,
	progress: Progress,
): Promise<void> {
	const choices = options.port === undefined ? {} : { port: options.port };
	await prepare(paths, config, choices, progress, wishes(options));
	const done = new AbortController();
	const interrupted = endSignal();
	let ready = false;
	await keep(paths, config, {
		progress,
		signal: AbortSignal.any([done.signal, interrupted]),
		onReady: () => {
			ready = true;
			done.abort();
		},
	});
	if (!ready) interrupted.throwIfAborted();
}

function wishes({ isolation }: SetupOptions): SetupWishes {
	return { microvms: isolation === "microvm", onPath: true };
}
