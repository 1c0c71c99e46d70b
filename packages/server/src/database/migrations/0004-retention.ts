import { type Kysely, sql } from "kysely";

/** What of its history a sandbox keeps, where it or its template says so: `{last?, checkpoints?, daily?}`. */
export async function up(db: Kysely<unknown>): Promise<void> {
	for (const table of ["templates", "sandboxes"]) {
		await sql`alter table ${sql.table(table)} add column retention jsonb not null default '{}'`.execute(db);
	}
}
