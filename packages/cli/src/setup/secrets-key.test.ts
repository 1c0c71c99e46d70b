import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { platformPaths } from "../platform/paths.ts";
import { findUser } from "../platform/user.ts";
import { secretsKeyStep } from "./secrets-key.ts";

const user = findUser();
const missing =
	process.getuid?.() !== 0 ? "needs root" : user === undefined ? "needs the user that set-up makes" : false;

test("the key for secrets is the server's alone, and is never replaced", { skip: missing }, async () => {
	const data = mkdtempSync(join(tmpdir(), "dormice-secrets-"));
	try {
		const paths = platformPaths(data);
		const step = secretsKeyStep(paths);
		const path = paths.secretsKey;
		assert.equal(await step.isDone(), false);
		await step.run(() => undefined);
		const key = readFileSync(path, "utf8");
		assert.match(key, /^[0-9a-f]{64}\n$/);
		const isWanted = () => {
			const { mode, uid, gid } = statSync(path);
			assert.deepEqual([mode & 0o7777, uid, gid], [0o600, user?.uid, user?.gid]);
		};
		isWanted();
		assert.equal(await step.isDone(), true);
		// As a backup may bring it back.
		chownSync(path, 0, 0);
		chmodSync(path, 0o644);
		assert.equal(await step.isDone(), false);
		await step.run(() => undefined);
		isWanted();
		assert.equal(readFileSync(path, "utf8"), key);
	} finally {
		rmSync(data, { recursive: true });
	}
});
