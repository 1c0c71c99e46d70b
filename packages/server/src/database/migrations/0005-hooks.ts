import { type Kysely, sql } from "kysely";

/** Whether a sleeping sandbox has a hook that its waking waits for. */
export async function up(db: Kysely<unknown>): Promise<void> {
	await sql`alter table sandboxes add column wake_hook boolean not null default false`.execute(db);
}
