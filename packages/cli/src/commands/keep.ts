import { Command } from "commander";
import type { Config } from "../config.ts";
import { platformPaths } from "../platform/paths.ts";
import { type KeeperMessage, keep } from "../platform/up.ts";
import type { CommonOptions } from "../program.ts";
import { endSignal } from "../signals.ts";

/** The background half of `up --detach`; not for people. */
export function keepCommand(config: Config): Command {
	return new Command("keep")
		.description("keeps a platform running (what `up --detach` starts)")
		.action(async (options: CommonOptions) => {
			try {
				const kept = await keep(platformPaths(options.data ?? config.data), config, {
					progress: tell,
					signal: endSignal(),
					onReady: () => tell({ kind: "ready" }),
				});
				if (!kept) tell({ kind: "failed", text: "Another keeper has just started" });
			} catch (error) {
				tell({ kind: "failed", text: error instanceof Error ? error.message : String(error) });
				throw error;
			}
		});
}

/** To the command that started us, while it listens, and to our log. */
function tell(message: KeeperMessage): void {
	if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
	const text = "text" in message ? message.text : "title" in message ? message.title : message.kind;
	if (message.kind !== "end") process.stdout.write(`${new Date().toISOString()} ${text}\n`);
}
