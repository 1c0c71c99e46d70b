import { Command } from "commander";
import pc from "picocolors";
import type { Config } from "../config.ts";
import type { Check, Diagnosis } from "../doctor/check.ts";
import { examine } from "../doctor/examine.ts";
import { printJson, printLine } from "../output.ts";
import { platformPaths } from "../platform/paths.ts";
import type { CommonOptions } from "../program.ts";

export function doctorCommand(config: Config): Command {
	return new Command("doctor")
		.summary("what this machine can run, and why not")
		.description(
			"Looks at everything the platform and its engines need, runs a real throw-away sandbox with each engine that\n" +
				"looks usable, and says which isolation `auto` gives and why. Exits with 0 when sandboxes can run.",
		)
		.addHelpText("after", "\nExample:\n  sudo dormice doctor --json")
		.action(async (options: CommonOptions) => {
			const diagnosis = await examine(platformPaths(options.data ?? config.data), config);
			if (options.json) printJson(diagnosis);
			else print(diagnosis);
			process.exitCode = diagnosis.ok ? 0 : 1;
		});
}

function print({ checks, drivers, isolation, why }: Diagnosis): void {
	for (const check of checks) printCheck(check);
	for (const driver of drivers) {
		printLine("");
		const name = [driver.isolation, driver.version, driver.acceleration].filter(Boolean).join(" ");
		printLine(`${name}: ${driver.usable ? pc.green("usable") : pc.yellow("not usable")}`);
		if (driver.reason) printLine(`  ${driver.reason}`);
		for (const need of driver.needs) printCheck(need);
	}
	printLine("");
	printLine(
		isolation
			? `Sandboxes get ${pc.bold(isolation)} unasked (auto): ${why}`
			: `${pc.red("Sandboxes get nothing unasked")}: ${why}`,
	);
}

function printCheck({ name, ok, detail, remedy }: Check): void {
	printLine(`${ok ? pc.green("✓") : pc.yellow("✗")} ${name.padEnd(22)} ${detail}`);
	if (!ok && remedy) printLine(`  ${" ".repeat(22)} ${pc.dim("mend it:")} ${remedy}`);
}
