import { ISOLATIONS, type Isolation } from "@dormice/protocol";
import type { Team } from "@dormice/sdk";
import { Command } from "commander";
import type { Config } from "../config.ts";
import { printJson, printLine } from "../output.ts";
import type { CommonOptions } from "../program.ts";
import { connectTo, findTarget } from "../target.ts";
import { orDefault, orNull, parseWord, type TakenBack } from "../values.ts";

export function teamCommand(config: Config): Command {
	return new Command("team")
		.summary("see and change what a team's sandboxes have at least")
		.description("The team whose sandboxes the key makes, and what it says of them.")
		.addHelpText("after", "\nExamples:\n  dormice team show\n  dormice team set --minimum-isolation microvm")
		.addCommand(showCommand(config))
		.addCommand(setCommand(config));
}

function showCommand(config: Config): Command {
	return new Command("show")
		.summary("show what the team says")
		.description("Shows the team of the key, and the least that keeps its sandboxes apart.")
		.addHelpText("after", "\nExample:\n  dormice team show")
		.action(async (options: CommonOptions) => {
			print(await connectTo(findTarget(config, options.data)).teams.mine(), options);
		});
}

function setCommand(config: Config): Command {
	return new Command("set")
		.summary("change what the team says")
		.description(
			"Changes what the team says, for sandboxes made from now on, of templates, snapshots and forks.\nThose there are stay as they are.",
		)
		.requiredOption(
			"--minimum-isolation <what>",
			"what keeps its sandboxes apart at least, `microvm` or `gvisor`; `default`: anything",
			orDefault(parseWord(ISOLATIONS)),
		)
		.addHelpText("after", "\nExample:\n  dormice team set --minimum-isolation microvm")
		.action(async (options: CommonOptions & { minimumIsolation: Isolation | TakenBack }) => {
			const { teams } = connectTo(findTarget(config, options.data));
			print(await teams.setMinimumIsolation(orNull(options.minimumIsolation)), options);
		});
}

function print(team: Team, { json }: CommonOptions): void {
	if (json) {
		printJson(team);
		return;
	}
	const { name, teamId, minimumIsolation } = team;
	const least = minimumIsolation === null ? "any isolation" : `at least ${minimumIsolation}`;
	printLine(`${name} (${teamId}): its sandboxes have ${least}`);
}
