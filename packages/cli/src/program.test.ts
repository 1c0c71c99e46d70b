import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { type Command, CommanderError } from "commander";
import { readConfig } from "./config.ts";
import { tableLines } from "./output.ts";
import { buildProgram, separateCommand } from "./program.ts";
import { findTarget } from "./target.ts";
import { parseAssignment } from "./values.ts";

const NOWHERE = { DORMICE_DATA: "/nonexistent/dormice" };

test("an empty variable counts as unset", () => {
	assert.equal(readConfig({ DORMICE_DATA: "" }).data, "/var/lib/dormice");
	assert.deepEqual(readConfig({ DATABASE_URL: "", RUNSC_PATH: "/x" }).passedOn, { RUNSC_PATH: "/x" });
});

test("every command teaches: its help has an example", async () => {
	const program = await buildProgram(readConfig(NOWHERE), ["--help"]);
	assert.ok(program.commands.length >= 15);
	const leaves = (command: Command): Command[] =>
		command.commands.length === 0 ? [command] : command.commands.flatMap(leaves);
	for (const command of leaves(program)) {
		let help = "";
		command.configureOutput({
			writeOut: (text) => {
				help += text;
			},
		});
		command.outputHelp();
		assert.match(help, /Examples?:\n/, command.name());
		assert.match(help, /--data <dir>/);
		assert.match(help, /--json/);
	}
});

for (const args of [
	["bogus"],
	["up", "--port", "70000"],
	["create", "--env", "NOVALUE"],
	["exec", "id"],
	["kill"],
	["kill", "--all", "id"],
	["logs", "id", "--stream", "stderr"],
	["url", "id", "0"],
]) {
	test(`a mistake in use: ${args.join(" ")}`, async () => {
		const program = await buildProgram(readConfig(NOWHERE), args);
		for (const command of [program, ...program.commands]) command.configureOutput({ writeErr: () => undefined });
		await assert.rejects(program.parseAsync(args, { from: "user" }), CommanderError);
	});
}

for (const [line, separated] of [
	["exec ID ls -l", "exec ID -- ls -l"],
	["exec -it ID -u root --cwd /tmp ls --user x", "exec -it ID -u root --cwd /tmp -- ls --user x"],
	["exec ID --env=A=1 env", "exec ID --env=A=1 -- env"],
	["exec ID -- ls -l", "exec ID -- ls -l"],
	["exec ID --json", "exec ID --json"],
	["logs ID --follow", "logs ID --follow"],
] as const) {
	test(`options after what is run are its own: ${line}`, () => {
		assert.equal(separateCommand(line.split(" ")).join(" "), separated);
	});
}

test("the version is the package's", async () => {
	const program = await buildProgram(readConfig(NOWHERE), ["--version"]);
	const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
	assert.equal(program.version(), version);
});

test("commands have the names that other tools give them, too", async () => {
	for (const [alias, name] of [
		["ls", "list"],
		["ps", "list"],
		["rm", "kill"],
	] as const) {
		const program = await buildProgram(readConfig(NOWHERE), [alias]);
		assert.deepEqual(
			program.commands.map((command) => [command.name(), command.aliases().includes(alias)]),
			[[name, true]],
		);
	}
});

test("every option of exec that takes a value is known to be one", async () => {
	const program = await buildProgram(readConfig(NOWHERE), ["exec"]);
	for (const { short, long, required } of program.commands[0]?.options ?? []) {
		for (const flag of [short, long].filter((name) => name !== undefined)) {
			const separated = separateCommand(["exec", "ID", flag, "x", "y"]);
			assert.equal(separated.indexOf("--"), required ? 4 : 3, flag);
		}
	}
});

test("a platform elsewhere is used when there is none here, unless a data directory is named", () => {
	const config = readConfig({ ...NOWHERE, E2B_API_KEY: "e2b_1", E2B_API_URL: "http://there:1" });
	assert.deepEqual(findTarget(config, undefined), {
		apiKey: "e2b_1",
		apiUrl: "http://there:1",
		sandboxUrl: "http://there:1",
	});
	assert.throws(() => findTarget(config, "/nonexistent/other"), { reason: "not_set_up" });
	assert.throws(() => findTarget(readConfig(NOWHERE), undefined), /dormice up/);
});

test("NAME=VALUE keeps what follows the first sign", () => {
	assert.deepEqual(parseAssignment("A=b=c", { X: "1" }), { X: "1", A: "b=c" });
});

test("columns line up and nothing trails", () => {
	assert.deepEqual(tableLines(["A", "LONG"], [["value", ""]]), ["A      LONG", "value"]);
});
