import assert from "node:assert/strict";
import { test } from "node:test";
import { sql } from "kysely";
import { openLog } from "../log.ts";
import { openRow } from "../sandboxes/row.ts";
import { Vault } from "../secrets/vault.ts";
import { TestPostgres } from "../testing/postgres.ts";
import { openDatabase } from "./database.ts";
import { migrate } from "./migrate.ts";

test("a database from before secrets were sealed keeps them, sealed", { timeout: 60_000 }, async () => {
	await using postgres = await TestPostgres.open();
	const vault = new Vault("c3".repeat(32));
	await using database = openDatabase(postgres.url, openLog("fatal"));
	await migrate(database, vault);
	// As it was: readable columns, and no record of this migration.
	for (const statement of [
		sql`drop table secret_keys`,
		sql`delete from kysely_migration where name = '0008-sealed'`,
		sql`alter table sandboxes alter column network type jsonb using network::jsonb,
			alter column env_vars type jsonb using env_vars::jsonb`,
		sql`insert into teams (id, name) values ('00000000-0000-0000-0000-000000000001', 'one')`,
		sql`insert into templates (id, alias, rootfs_id, cpu_count, memory_mib, disk_mib, pids)
			values ('base', 'base', 'base', 1, 1, 1, 1)`,
		sql`insert into sandboxes (id, team_id, template_id, state, epoch, recovering, isolation, started_at, end_at,
				timeout_seconds, auto_pause, auto_pause_memory, auto_resume, access_token, network, metadata, env_vars,
				cpu_count, memory_mib, disk_mib, pids)
			select name, '00000000-0000-0000-0000-000000000001', 'base', 'asleep', 0, false, 'gvisor', now(), now(),
				1, false, false, false, 'token-' || name, '{"denyOut":["0.0.0.0/0"]}', '{}', jsonb_build_object('NAME', name),
				1, 1, 1, 1 from unnest(array['one', 'two']) as name`,
	]) {
		await statement.execute(database);
	}

	await migrate(database, vault);

	for (const row of await database.selectFrom("sandboxes").selectAll().execute()) {
		const { accessToken, trafficToken, network, envVars, sealed } = openRow(vault, row);
		assert.deepEqual([accessToken, trafficToken], [`token-${row.id}`, null]);
		assert.deepEqual([network, envVars], [{ denyOut: ["0.0.0.0/0"] }, { NAME: row.id }]);
		assert.ok(Object.values(sealed).every((text) => text === null || text.startsWith("v1.")));
	}
});
