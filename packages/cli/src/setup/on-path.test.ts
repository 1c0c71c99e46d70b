import assert from "node:assert/strict";
import { lstatSync, mkdtempSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { onPathStep } from "./on-path.ts";

function place(context: { after(act: () => void): void }) {
	const directory = mkdtempSync(join(tmpdir(), "dormice-path-"));
	context.after(() => rmSync(directory, { recursive: true }));
	const [link, program] = [join(directory, "bin/dormice"), join(directory, "dormice")];
	writeFileSync(program, "");
	return { directory, link, program, step: onPathStep(link, program) };
}

test("the command is put where shells find it, once", async (context) => {
	const { link, program, step } = place(context);
	assert.equal(step.isDone(), false);
	await step.run(() => undefined);
	assert.deepEqual([readlinkSync(link), step.isDone()], [program, true]);
});

test("what somebody else put there stays", async (context) => {
	const { directory } = place(context);
	const link = join(directory, "taken");
	writeFileSync(link, "another program");
	assert.equal(onPathStep(link).isDone(), true);
	assert.equal(readFileSync(link, "utf8"), "another program");
	const broken = join(directory, "broken");
	symlinkSync("/nowhere/tool", broken);
	assert.equal(onPathStep(broken).isDone(), true);
});

test("a link to a clone that is gone is made to lead here", async (context) => {
	const { directory, program } = place(context);
	const link = join(directory, "old");
	symlinkSync(join(directory, "gone/dormice"), link);
	const step = onPathStep(link, program);
	assert.equal(step.isDone(), false);
	await step.run(() => undefined);
	assert.ok(lstatSync(link).isSymbolicLink());
	assert.equal(readlinkSync(link), program);
});
