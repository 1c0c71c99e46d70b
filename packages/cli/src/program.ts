import { Command } from "commander";
import type { Config } from "./config.ts";

type Builder = (config: Config) => Command;

/**
 * Every command, in the order of the help. Loaded when needed: most of the time of a short command would go into
 * loading the others.
 */
const GROUPS: Record<string, Record<string, () => Promise<Builder>>> = {
	"Start here:": {
		demo: async () => (await import("./commands/demo.ts")).demoCommand,
	},
	"The platform:": {
		up: async () => (await import("./commands/up.ts")).upCommand,
		down: async () => (await import("./commands/down.ts")).downCommand,
		status: async () => (await import("./commands/status.ts")).statusCommand,
		env: async () => (await import("./commands/env.ts")).envCommand,
		template: async () => (await import("./commands/template.ts")).templateCommand,
		team: async () => (await import("./commands/team.ts")).teamCommand,
		keys: async () => (await import("./commands/keys.ts")).keysCommand,
		du: async () => (await import("./commands/du.ts")).duCommand,
		gc: async () => (await import("./commands/gc.ts")).gcCommand,
		setup: async () => (await import("./commands/setup.ts")).setupCommand,
		doctor: async () => (await import("./commands/doctor.ts")).doctorCommand,
	},
	"Sandboxes:": {
		create: async () => (await import("./commands/create.ts")).createCommand,
		list: async () => (await import("./commands/list.ts")).listCommand,
		inspect: async () => (await import("./commands/inspect.ts")).inspectCommand,
		exec: async () => (await import("./commands/exec.ts")).execCommand,
		connect: async () => (await import("./commands/connect.ts")).connectCommand,
		pause: async () => (await import("./commands/pause.ts")).pauseCommand,
		resume: async () => (await import("./commands/resume.ts")).resumeCommand,
		cp: async () => (await import("./commands/cp.ts")).cpCommand,
		url: async () => (await import("./commands/url.ts")).urlCommand,
		stats: async () => (await import("./commands/stats.ts")).statsCommand,
		extend: async () => (await import("./commands/extend.ts")).extendCommand,
		kill: async () => (await import("./commands/kill.ts")).killCommand,
		checkpoint: async () => (await import("./commands/checkpoint.ts")).checkpointCommand,
		why: async () => (await import("./commands/why.ts")).whyCommand,
		history: async () => (await import("./commands/history.ts")).historyCommand,
		rollback: async () => (await import("./commands/rollback.ts")).rollbackCommand,
		diff: async () => (await import("./commands/diff.ts")).diffCommand,
		fork: async () => (await import("./commands/fork.ts")).forkCommand,
		logs: async () => (await import("./commands/logs.ts")).logsCommand,
	},
	"The repository:": {
		bench: async () => (await import("./commands/bench.ts")).benchCommand,
		test: async () => (await import("./commands/test.ts")).testCommand,
	},
};

/** Not in the help: what other commands start. */
const HIDDEN: Record<string, () => Promise<Builder>> = {
	keep: async () => (await import("./commands/keep.ts")).keepCommand,
};

/** Other names of commands, for hands that know them. */
const ALIASES: Record<string, string> = { ls: "list", ps: "list", rm: "kill" };

const VERSION = "0.1.0";

const START_HERE = `
Start here:
  sudo ./dormice up --detach           a platform on this machine
  sudo ./dormice create                a sandbox; prints its id
  sudo ./dormice exec ID -- uname -a   a command in it
  eval "$(sudo ./dormice env)"         what E2B clients need`;

/** Errors of use look like all others. */
const IN_OUR_NAME = {
	outputError: (text: string, write: (text: string) => void) => write(text.replace(/^error:/, "dormice:")),
};

/** Options of `exec` that are followed by a value. */
const EXEC_VALUES = ["-u", "--user", "-w", "--cwd", "-e", "--env", "--timeout", "--data"];

/** With a `--` before what `exec` is to run, as if it had been written: options after that word are the command's. */
export function separateCommand(args: readonly string[]): string[] {
	if (args[0] !== "exec") return [...args];
	let words = 0;
	for (let at = 1; at < args.length; at++) {
		const word = args[at] ?? "";
		if (word === "--") break;
		if (word.startsWith("-") && word !== "-") {
			if (EXEC_VALUES.includes(word)) at++;
		} else if (++words === 2) return [...args.slice(0, at), "--", ...args.slice(at)];
	}
	return [...args];
}

/** The command line that can run `args`: with the one command that they name, or with all of them. */
export async function buildProgram(config: Config, args: readonly string[]): Promise<Command> {
	const program = new Command("dormice")
		.description("Computers for AI agents that sleep for free and wake when they are needed.")
		.addHelpText("after", START_HERE)
		.version(VERSION, "-V, --version")
		.enablePositionalOptions()
		.showHelpAfterError("(more with --help)")
		.configureOutput(IN_OUR_NAME)
		.exitOverride();
	const [first = ""] = args;
	const name = Object.hasOwn(ALIASES, first) ? ALIASES[first] : first;
	const isNamed = [...Object.values(GROUPS), HIDDEN].some(
		(commands) => name !== undefined && Object.hasOwn(commands, name),
	);
	for (const [title, commands] of Object.entries(GROUPS)) {
		for (const [each, load] of Object.entries(commands)) {
			if (isNamed && each !== name) continue;
			const aliases = Object.keys(ALIASES).filter((alias) => ALIASES[alias] === each);
			program.addCommand(
				settle((await load())(config), config)
					.helpGroup(title)
					.aliases(aliases),
			);
		}
	}
	for (const [each, load] of Object.entries(HIDDEN)) {
		if (each === name) program.addCommand(settle((await load())(config), config), { hidden: true });
	}
	return program;
}

/** What every command has. */
function settle(command: Command, config: Config): Command {
	for (const each of command.commands) settle(each, config);
	command.showHelpAfterError("(more with --help)").configureOutput(IN_OUR_NAME).exitOverride();
	// One that is a family of commands leaves its options to those.
	if (command.commands.length > 0) return command;
	return command
		.option("--data <dir>", `data directory of the platform (default: $DORMICE_DATA, now ${config.data})`)
		.option("--json", "print JSON");
}

/** The options that every command has. */
export interface CommonOptions {
	data?: string;
	json?: boolean;
}
