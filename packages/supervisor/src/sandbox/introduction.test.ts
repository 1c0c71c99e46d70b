import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { keepIntroduction, recallIntroduction } from "./introduction.ts";
import { Sandbox } from "./sandbox.ts";

test("the next supervisor knows what this one was told, its access token above all, and nobody else reads it", async () => {
	const directory = mkdtempSync(join(tmpdir(), "dormice-introduction-"));
	try {
		const next = new Sandbox();
		await recallIntroduction(directory, next);
		assert.ok(next.admits(undefined), "nothing was told yet");
		const sandbox = new Sandbox();
		sandbox.accessToken = "secret";
		sandbox.defaultUser = "user";
		sandbox.envs = { A: "1" };
		await keepIntroduction(directory, sandbox);
		await recallIntroduction(directory, next);
		assert.ok(!next.admits(undefined) && !next.admits("other") && next.admits("secret"));
		assert.equal(next.defaultUser, "user");
		assert.deepEqual(next.envs, { A: "1" });
		assert.equal(statSync(join(directory, ".introduction")).mode & 0o777, 0o600);
	} finally {
		rmSync(directory, { recursive: true });
	}
});
