import { type Kysely, type RawBuilder, sql } from "kysely";
import type { Vault } from "../../secrets/vault.ts";

/** Where secrets lie, with each row's primary key. */
const COLUMNS = [
	{ table: "sandboxes", column: "access_token", key: sql`id` },
	{ table: "sandboxes", column: "traffic_token", key: sql`id` },
	{ table: "sandboxes", column: "network", key: sql`id` },
	{ table: "sandboxes", column: "env_vars", key: sql`id` },
	{ table: "snapshots", column: "env_vars", key: sql`id || ':' || tag` },
	{ table: "generations", column: "access_token", key: sql`id` },
] as const;

/** Seals what lay in the clear, and notes whose key it was. */
export async function up(db: Kysely<unknown>, vault: Vault): Promise<void> {
	await sql`create table secret_keys (
		id text primary key,
		created_at timestamptz(3) not null default now())`.execute(db);
	await sql`insert into secret_keys (id) values (${vault.keyId})`.execute(db);
	for (const { table, column, key } of COLUMNS) await seal(db, vault, { table, column, key });
}

async function seal(
	db: Kysely<unknown>,
	vault: Vault,
	{ table, column, key }: { table: string; column: string; key: RawBuilder<unknown> },
): Promise<void> {
	const [tableName, columnName] = [sql.table(table), sql.ref(column)];
	await sql`alter table ${tableName} alter column ${columnName} type text using ${columnName}::text`.execute(db);
	const { rows } = await sql<{ row: string; value: string }>`
		select ${key} as row, ${columnName} as value from ${tableName} where ${columnName} is not null`.execute(db);
	for (const { row, value } of rows) {
		const sealed = vault.seal(value, { table, column, row });
		await sql`update ${tableName} set ${columnName} = ${sealed} where ${key} = ${row}`.execute(db);
	}
}
