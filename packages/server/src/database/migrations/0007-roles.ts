import { type Kysely, sql } from "kysely";

/** What a key may do. The one made at set-up is the operator's. */
export async function up(db: Kysely<unknown>): Promise<void> {
	const statements = [
		sql`alter table api_keys add column role text not null default 'member' check (role in ('operator', 'member'))`,
		sql`update api_keys set role = 'operator' where name = 'first'`,
	];
	for (const statement of statements) await statement.execute(db);
}
