import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { Sandbox } from "e2b";
import pg from "pg";
import { TestPostgres } from "../../packages/server/src/testing/postgres.ts";
import { TestPlatform, testData } from "./platform.ts";

// The platform remembers it, and the tests after this one want ours again.
after(() => rm(join(testData(), "variables.json"), { force: true }));

test("a PostgreSQL of the user's own takes the place of ours", async () => {
	await using postgres = await TestPostgres.open();
	const url = await postgres.database("dormice");
	await using platform = await TestPlatform.up({ DATABASE_URL: url });
	const sandbox = await Sandbox.create("base", platform.client);
	assert.equal((await sandbox.commands.run("echo works")).stdout, "works\n");
	const database = new pg.Client({ connectionString: url });
	await database.connect();
	const { rows } = await database.query("select state from sandboxes where id = $1", [sandbox.sandboxId]);
	await database.end();
	assert.deepEqual(rows, [{ state: "running" }]);
	await assert.rejects(platform.pid("postgres"));
	await sandbox.kill();
});
