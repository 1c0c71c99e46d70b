import type { KeyRole } from "@dormice/sdk";
import { Command, Option } from "commander";
import type { Config } from "../config.ts";
import { printJson, printLine, printTable } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { connectTo, findTarget } from "../target.ts";

export function keysCommand(config: Config): Command {
	return new Command("keys")
		.summary("list, make and delete API keys")
		.description("The API keys of the team. All of this takes an operator's key.")
		.addHelpText(
			"after",
			"\nExamples:\n  dormice keys create agents\n  dormice keys list\n  dormice keys delete KEY-ID",
		)
		.addCommand(listCommand(config))
		.addCommand(createCommand(config))
		.addCommand(deleteCommand(config));
}

function listCommand(config: Config): Command {
	return new Command("list")
		.summary("list the keys")
		.description("Lists the keys, the oldest first. Not the keys themselves: of those the platform knows a hash.")
		.addHelpText("after", "\nExample:\n  dormice keys list")
		.action(async (options: CommonOptions) => {
			const found = await connectTo(findTarget(config, options.data)).keys.list();
			if (options.json) return printJson(found);
			printTable(
				["KEY", "NAME", "ROLE", "MADE"],
				found.map(({ id, name, role, createdAt }) => [id, name, role, createdAt.replace(/\.\d+/, "")]),
			);
		});
}

function createCommand(config: Config): Command {
	return new Command("create")
		.summary("make a key and print it")
		.description("Makes a key and prints it, this once.")
		.argument("<name>", "who it is for")
		.addOption(
			new Option("--role <role>", "`member`: the team's sandboxes; `operator`: the platform too")
				.choices(["member", "operator"])
				.default("member"),
		)
		.addHelpText("after", "\nExample:\n  E2B_API_KEY=$(dormice keys create agents)")
		.action(async (name: string, options: CommonOptions & { role: KeyRole }) => {
			const made = await connectTo(findTarget(config, options.data)).keys.create({ name, role: options.role });
			if (options.json) printJson(made);
			else printLine(made.key);
		});
}

function deleteCommand(config: Config): Command {
	return new Command("delete")
		.summary("delete a key")
		.description("Deletes a key, by its id: it opens nothing from now on. The key that asks stays.")
		.argument("<key-id>", "as `keys list` shows it")
		.addHelpText("after", "\nExample:\n  dormice keys delete KEY-ID")
		.action(async (id: string, options: CommonOptions) => {
			await connectTo(findTarget(config, options.data)).keys.delete(id);
			if (options.json) printJson({ deleted: id });
		});
}
