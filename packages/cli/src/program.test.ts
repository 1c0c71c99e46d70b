import assert from "node:assert/strict";
import { test } from "node:test";
import { type Command, CommanderError } from "commander";
import { readConfig } from "./config.ts";
import { tableLines } from "./output.ts";
import { buildProgram } from "./program.ts";
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

for (const args of [["bogus"], ["up", "--port", "70000"], ["create", "--env", "NOVALUE"], ["exec", "id"]]) {
	test(`a mistake in use: ${args.join(" ")}`, async () => {
		const program = await buildProgram(readConfig(NOWHERE), args);
		for (const command of [program, ...program.commands]) command.configureOutput({ writeErr: () => undefined });
		await assert.rejects(program.parseAsync(args, { from: "user" }), CommanderError);
	});
}

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
