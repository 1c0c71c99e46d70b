import assert from "node:assert/strict";
import { test } from "node:test";
import { DormiceError } from "@dormice/protocol";
import { CommanderError } from "commander";
import { reportFailure } from "./failure.ts";

const usage = new CommanderError(1, "commander.unknownOption", "error: unknown option '--bogus'");
const late = new DormiceError("deadline_exceeded", "too late");
const gone = new DormiceError("sandbox_not_found", "no such");

const rows: [what: string, error: unknown, args: string[], code: number][] = [
	["a mistake in use", usage, ["list", "--bogus"], 2],
	["a failure", gone, ["pause", "i1"], 1],
	["help", new CommanderError(0, "commander.help", ""), ["exec", "--help"], 0],
	["a failure where the code is the command's", gone, ["exec", "i1", "--", "true"], 125],
	["a mistake in use there", usage, ["exec", "--bogus"], 125],
	["a time-out there", late, ["exec", "i1", "--timeout", "1", "--", "true"], 124],
	["a failure to read a process's output", gone, ["logs", "i1", "--process", "4"], 125],
	["a failure to read a log", gone, ["logs", "i1"], 1],
];
for (const [what, error, args, code] of rows) {
	test(`${what} ends with ${code}`, (t) => {
		t.mock.method(process.stderr, "write", () => true);
		assert.equal(reportFailure(error, args), code);
	});
}

test("with --json a failure is an object with its reason; what is run may have such an option too", (t) => {
	t.mock.method(process.stderr, "write", () => true);
	const written = t.mock.method(process.stdout, "write", () => true);
	const said = () => written.mock.calls.map(({ arguments: [text] }) => String(text)).join("");
	reportFailure(gone, ["exec", "i1", "--", "ls", "--json"]);
	assert.equal(said(), "");
	reportFailure(gone, ["pause", "i1", "--json"]);
	assert.deepEqual(JSON.parse(said()), { error: { reason: "sandbox_not_found", message: "no such" } });
});
