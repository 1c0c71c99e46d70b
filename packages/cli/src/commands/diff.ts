import { Command } from "commander";
import type { Config } from "../config.ts";
import { harmless, printJson, printLine, size } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { fullId } from "../sandbox-id.ts";
import { connectTo, findTarget } from "../target.ts";

const MARKS = { added: "A", changed: "M", removed: "D" } as const;

export function diffCommand(config: Config): Command {
	return new Command("diff")
		.summary("show what changed between two states of a sandbox")
		.description(
			"Shows the files and processes that differ between a stored state of a sandbox and another, or what it is now.\n" +
				"A: added, M: changed, D: removed. /tmp and other memory file systems are not looked at.",
		)
		.argument("<id>", "sandbox")
		.argument("<from>", "id or label of a stored state")
		.argument("[to]", "id or label of another; else what the sandbox is now")
		.addHelpText("after", "\nExample:\n  dormice diff ID before-upgrade")
		.action(async (id: string, from: string, to: string | undefined, options: CommonOptions) => {
			const { sandboxes } = connectTo(findTarget(config, options.data));
			const found = await sandboxes.diff(await fullId(sandboxes, id), from, to);
			if (options.json) return printJson(found);
			for (const { change, path, type, bytesAfter } of found.files.toSorted((a, b) => (a.path < b.path ? -1 : 1))) {
				const detail = type === "file" ? (change === "removed" ? "" : `  (${size(bytesAfter)})`) : `  (${type})`;
				printLine(`${MARKS[change]}  ${harmless(path)}${detail}`);
			}
			if (found.truncated) printLine("…  there is more");
			for (const { pid, name } of found.processes.started) printLine(`+  process ${pid} ${harmless(name)}`);
			for (const { pid, name } of found.processes.ended) printLine(`-  process ${pid} ${harmless(name)}`);
		});
}
