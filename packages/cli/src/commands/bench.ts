import { existsSync, mkdtempSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, totalmem } from "node:os";
import { Command, InvalidArgumentError } from "commander";
import type { IdleCpu } from "../bench/idle.ts";
import { plot } from "../bench/plot.ts";
import type { Result } from "../bench/series.ts";
import type { WorkResult } from "../bench/steps.ts";
import { bestEffort } from "../best-effort.ts";
import { run } from "../command.ts";
import type { Config } from "../config.ts";
import { printJson, printLine } from "../output.ts";
import { platformPaths } from "../platform/paths.ts";
import { withPlatform } from "../platform/with-platform.ts";
import type { CommonOptions } from "../program.ts";
import { showProgress, step } from "../progress.ts";
import { requireRoot } from "../setup/root.ts";
import { findTarget } from "../target.ts";

interface BenchOptions extends CommonOptions {
	rounds: number;
	ladder: boolean;
	plot?: string;
}

export function benchCommand(config: Config): Command {
	return new Command("bench")
		.summary("measure creating, commands, files, requests, sleep and waking")
		.description(
			"Measures with the unmodified `e2b` client and prints medians and 99th percentiles, beside plain `runsc` and\n" +
				"direct requests taken in the same run. It judges nothing: read the ratios.",
		)
		.option("--rounds <n>", "how often the slow things are done", parseRounds, 20)
		.option("--no-ladder", "leave out the wakes by memory size, forks and rollbacks, which take most of the time")
		.option("--plot <file>", "also draw the medians into this SVG file")
		.addHelpText(
			"after",
			`
Without --data it starts a platform of its own in a temporary directory and removes it afterwards.

Example:
  sudo dormice bench --data /var/lib/dormice --json > bench.json`,
		)
		.action((options: BenchOptions) => measure(config, options));
}

async function measure(config: Config, options: BenchOptions): Promise<void> {
	requireRoot("`dormice bench`", "it starts sandboxes and plain runsc");
	const data = options.data ?? mkdtempSync("/var/tmp/dormice-bench-");
	const paths = platformPaths(data);
	const progress = showProgress();
	try {
		// Room for the largest program that is put to sleep; a platform that is there already stays as it is.
		const variables: Record<string, string> = { DORMICE_SANDBOX_MEMORY_MIB: "1536", ...config.passedOn };
		if (existsSync("/usr/bin/qemu-system-x86_64")) variables.DORMICE_ALLOW_EMULATION ??= "1";
		const ours = options.data === undefined ? { ...config, passedOn: variables } : config;
		await withPlatform(paths, ours, progress, async () => {
			const { BASELINES, bench } = await import("../bench/bench.ts");
			const { measureAmongMany, measureIdleCpu } = await import("../bench/idle.ts");
			const { measureLadder } = await import("../bench/ladder.ts");
			const { measureMicrovms } = await import("../bench/microvm.ts");
			const { PlainRunsc } = await import("../bench/plain-runsc.ts");
			const runsc = config.passedOn.RUNSC_PATH ?? "runsc";
			await using plain = await PlainRunsc.open(data, mkdtempSync("/var/tmp/dormice-runsc-"), runsc);
			const series = await step(progress, "Measure", (onLine) =>
				bench(findTarget(config, data), paths, plain, { rounds: options.rounds, onLine }),
			);
			const parts = { series, target: findTarget(config, data), paths, plain, rounds: options.rounds };
			let idle: IdleCpu | undefined;
			await step(progress, "Measure what does nothing", async (onLine) => {
				await series.part("one idle sandbox", onLine, async () => {
					idle = await measureIdleCpu(parts);
				});
				await series.part("create and command among many", onLine, () => measureAmongMany(parts));
			});
			const density = options.ladder
				? await step(progress, "Measure the ladder", (onLine) => measureLadder({ ...parts, onLine }))
				: {};
			let accelerator: Result["accelerator"];
			await step(progress, "Measure microVMs", (onLine) =>
				series.part("microVMs", onLine, async () => {
					accelerator = await measureMicrovms({ ...parts, onLine });
				}),
			);
			const results = series.results(BASELINES).map((row) => ({
				...row,
				...(row.name.startsWith("microvm_") && accelerator ? { accelerator } : {}),
			}));
			const host = machine();
			if (options.plot !== undefined) {
				const title = `Dormice, medians and 99th percentiles: ${host.cores} cores, ${host.cpu}`;
				writeFileSync(options.plot, plot(results, title));
			}
			if (options.json)
				return printJson({
					machine: host,
					results,
					works: series.works(),
					...(idle === undefined ? {} : { idleCpuPercent: idle }),
					density,
					failures: series.failures,
				});
			printTable(results);
			if (idle !== undefined) {
				printLine(
					`\nA sandbox that does nothing uses ${idle.awake} % of a CPU held awake, ${idle.dozing} % left to itself.`,
				);
			}
			const { dozingMiB, asleepMiB } = density;
			if (dozingMiB !== undefined) printLine(`\nA program of 64 MiB costs ${dozingMiB} MiB of RAM dozing.`);
			if (asleepMiB !== undefined) printLine(`\nA program of 64 MiB costs ${asleepMiB} MiB of disk asleep.`);
			printWorks(series.works());
			for (const { part, error } of series.failures) printLine(`\nNot measured to its end: ${part}: ${error}`);
		});
	} finally {
		if (options.data === undefined) {
			await bestEffort("remove the temporary data", run(["rm", "-rf", "--one-file-system", paths.data, paths.run]));
		}
	}
}

function machine() {
	return { cpu: cpus()[0]?.model ?? "", cores: availableParallelism(), memoryMiB: Math.round(totalmem() / 2 ** 20) };
}

function printTable(results: readonly Result[]): void {
	printLine(`${"".padEnd(26)} ${"n".padStart(5)} ${"p50 ms".padStart(10)} ${"p99 ms".padStart(10)}`);
	for (const { name, n, p50Ms, p99Ms, baseline, ratio, accelerator } of results) {
		const compared = ratio === undefined ? "" : `  ${ratio.toFixed(2)} × ${baseline}`;
		const under = accelerator === undefined ? "" : `  ${accelerator}`;
		printLine(`${name.padEnd(26)} ${String(n).padStart(5)} ${cell(p50Ms)} ${cell(p99Ms)}${compared}${under}`);
	}
}

/** Where the time of a row goes: what its parts took, each within the one above it that calls it. */
function printWorks(works: readonly WorkResult[]): void {
	if (works.length > 0) printLine("\nWhere it goes (p50 ms; steps may overlap):");
	for (const { row, by, verb, totalMs, stepsMs } of works) {
		const steps = Object.entries(stepsMs).map(([name, ms]) => `${name} ${ms.toFixed(1)}`);
		printLine(`${row.padEnd(26)} ${`${by} ${verb}`.padEnd(18)} ${totalMs.toFixed(1).padStart(7)}: ${steps.join(", ")}`);
	}
}

function cell(ms: number): string {
	return ms.toFixed(ms < 10 ? 2 : 1).padStart(10);
}

function parseRounds(value: string): number {
	const rounds = Number(value);
	if (Number.isInteger(rounds) && rounds >= 1 && rounds <= 1000) return rounds;
	throw new InvalidArgumentError("rounds is a number from 1 to 1000");
}
