import { setTimeout as sleep } from "node:timers/promises";
import type { LogEntry } from "@dormice/sdk";
import { Command } from "commander";
import type { Config } from "../config.ts";
import { printLine } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { connectTo, findTarget } from "../target.ts";

const LOOK_AGAIN_MS = 1_000;

export function logsCommand(config: Config): Command {
	return new Command("logs")
		.summary("what happened in and to a sandbox")
		.description("Prints a sandbox's log: what happened to it and what its supervisor noted. Oldest first.")
		.argument("<id>", "sandbox")
		.option("--follow", "go on printing what is added, until Ctrl-C")
		.addHelpText("after", "\nWith --json: one object a line.\n\nExample:\n  dormice logs ID --follow")
		.action(async (id: string, options: CommonOptions & { follow?: boolean }) => {
			const { sandboxes } = connectTo(findTarget(config, options.data));
			const seen = new SeenEntries();
			do {
				const entries = await sandboxes.logs(id, { ...(seen.latestMs ? { sinceMs: seen.latestMs } : {}), limit: 1000 });
				const fresh = entries.filter((entry) => seen.add(entry));
				for (const entry of fresh) printLine(options.json ? JSON.stringify(entry) : describe(entry));
				if (options.follow && fresh.length === 0) await sleep(LOOK_AGAIN_MS);
			} while (options.follow);
		});
}

/** Tells new entries from those that the overlap of two answers repeats: the cursor is a millisecond, inclusive. */
class SeenEntries {
	latestMs = 0;
	readonly #atLatest = new Set<string>();

	add(entry: LogEntry): boolean {
		const atMs = Date.parse(entry.timestamp);
		const key = JSON.stringify(entry);
		if (atMs < this.latestMs || (atMs === this.latestMs && this.#atLatest.has(key))) return false;
		if (atMs > this.latestMs) this.#atLatest.clear();
		this.latestMs = atMs;
		this.#atLatest.add(key);
		return true;
	}
}

function describe({ timestamp, level, message, fields }: LogEntry): string {
	const extra = Object.entries(fields ?? {}).map(([name, value]) => ` ${name}=${value}`);
	return `${timestamp} ${level.padEnd(5)} ${message}${extra.join("")}`;
}
