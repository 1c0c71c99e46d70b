import { setTimeout as sleep } from "node:timers/promises";
import type { LogEntry, Sandboxes } from "@dormice/sdk";
import { Command, Option } from "commander";
import type { Config } from "../config.ts";
import { printLine } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { fullId } from "../sandbox-id.ts";
import { connectTo, findTarget } from "../target.ts";
import { parseNumber } from "../values.ts";

const LOOK_AGAIN_MS = 1_000;

interface LogsOptions extends CommonOptions {
	follow?: boolean;
	process?: number;
	stream?: "stdout" | "stderr" | "pty";
	from?: number;
}

export function logsCommand(config: Config): Command {
	return new Command("logs")
		.summary("what happened in and to a sandbox")
		.description(
			"Prints a sandbox's log: what happened to it and what its supervisor noted. Oldest first.\n" +
				"With --process, what that process wrote, as it is: kept through sleep, and for a while after its end.",
		)
		.argument("<id>", "sandbox")
		.option("--follow", "go on printing what is added, until Ctrl-C")
		.option("--process <pid>", "the output of this process", parseNumber)
		.addOption(new Option("--stream <name>", "which of its outputs").choices(["stdout", "stderr", "pty"]))
		.option("--from <offset>", "begin at this byte; without, at the oldest that is kept", parseNumber)
		.addHelpText(
			"after",
			`
With --json: one object a line; a process's bytes are base64.

Examples:
  dormice logs ID --follow
  dormice logs ID --process 42 --stream stderr --from 1000`,
		)
		.action(async (text: string, options: LogsOptions, command: Command) => {
			if (options.process === undefined && (options.stream !== undefined || options.from !== undefined)) {
				command.error("error: --stream and --from say what of a process's output is wanted: add --process <pid>");
			}
			const { sandboxes } = connectTo(findTarget(config, options.data));
			const id = await fullId(sandboxes, text);
			if (options.process !== undefined) return await printOutput(sandboxes, id, options.process, options);
			const seen = new SeenEntries();
			do {
				const entries = await sandboxes.logs(id, { ...(seen.latestMs ? { sinceMs: seen.latestMs } : {}), limit: 1000 });
				const fresh = entries.filter((entry) => seen.add(entry));
				for (const entry of fresh) printLine(options.json ? JSON.stringify(entry) : describe(entry));
				if (options.follow && fresh.length === 0) await sleep(LOOK_AGAIN_MS);
			} while (options.follow);
		});
}

/** With `--follow` our exit code becomes the process's. */
async function printOutput(sandboxes: Sandboxes, id: string, pid: number, options: LogsOptions): Promise<void> {
	const output = (await sandboxes.get(id)).output(pid, {
		follow: options.follow ?? false,
		...(options.stream ? { stream: options.stream } : {}),
		...(options.from === undefined ? {} : { from: options.from }),
	});
	for await (const { offset, data } of output) {
		if (options.json) printLine(JSON.stringify({ offset, data: Buffer.from(data).toString("base64") }));
		else await write(data);
	}
	process.exitCode = output.exitCode ?? 0;
}

async function write(data: Uint8Array): Promise<void> {
	await new Promise<void>((resolve, reject) => {
		process.stdout.write(data, (error) => (error ? reject(error) : resolve()));
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
