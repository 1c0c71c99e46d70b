import type { Lifecycle } from "@dormice/sdk";
import { Command } from "commander";
import type { Config } from "../config.ts";
import { duration, printJson, printLine, printTable } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { fullId } from "../sandbox-id.ts";
import { connectTo, findTarget } from "../target.ts";

const SHOWN_CHANGES = 20;

export function whyCommand(config: Config): Command {
	return new Command("why")
		.summary("why a sandbox is awake, and where its time went")
		.description("Says what holds a sandbox awake, how long it was in each state, and its last changes. Wakes nobody.")
		.argument("<id>", "sandbox")
		.addHelpText("after", "\nExample:\n  dormice why ID")
		.action(async (id: string, options: CommonOptions) => {
			const limit = SHOWN_CHANGES;
			const { sandboxes } = connectTo(findTarget(config, options.data));
			const lifecycle = await sandboxes.lifecycle(await fullId(sandboxes, id), { limit });
			if (options.json) return printJson(lifecycle);
			for (const line of describe(lifecycle, Date.now())) printLine(line);
			if (lifecycle.awake.length > 0) {
				printLine("");
				printTable(
					["HELD AWAKE BY", "FOR", ""],
					lifecycle.awake.map(({ signal, since, detail }) => [signal, ago(since), detail]),
				);
			}
			if (lifecycle.busiest.length > 0) {
				printLine("");
				printTable(
					["PROCESS", "PID", "CPU"],
					lifecycle.busiest.map(({ cmd, pid, percent }) => [cmd, `${pid}`, `${percent} %`]),
				);
			}
			printLine("");
			printTable(
				["CHANGED", "FROM", "TO", "BECAUSE OF", "AFTER"],
				lifecycle.history.map(({ at, from, to, reason, lastedMs }) => [
					shortTime(at),
					from,
					to,
					reason,
					duration(lastedMs),
				]),
			);
		});
}

/** What is so, as sentences. */
export function describe({ sandboxId, state, rung, since, rest, awake, sleepsAt, timesMs }: Lifecycle, nowMs: number) {
	const { doze, dozeAfterMs, sleepAfterMs } = rest;
	const shown = state === undefined || state === rung ? "" : `; its state is ${state}`;
	const lines = [`${sandboxId} is ${rung} for ${duration(nowMs - Date.parse(since))}${shown}.`];
	if (sleepsAt !== undefined)
		lines.push(`It falls asleep in ${duration(Date.parse(sleepsAt) - nowMs)} if nobody comes.`);
	if (rung === "running" && awake.length === 0) lines.push("Nothing holds it awake: it dozes in a moment.");
	const always = doze === "always" ? ", whatever processes it has" : "";
	lines.push(
		dozeAfterMs === 0
			? "It never dozes."
			: `It dozes after ${duration(dozeAfterMs)} of quiet${always}, and ${sleepAfterMs === 0 ? "never falls asleep by itself" : `falls asleep after ${duration(sleepAfterMs)} of that`}.`,
	);
	const times = Object.entries(timesMs).map(([name, ms]) => `${name} ${duration(ms)}`);
	lines.push(`Time on each rung: ${times.join(", ")}.`);
	return lines;
}

function ago(time: string): string {
	return duration(Date.now() - Date.parse(time));
}

/** RFC 3339 without the fraction. */
function shortTime(time: string): string {
	return time.replace(/\.\d+/, "");
}
