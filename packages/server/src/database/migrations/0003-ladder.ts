import { type Kysely, sql } from "kysely";

/** How a sandbox rests by itself, how long it was in each state, and its changes of state. */
export async function up(db: Kysely<unknown>): Promise<void> {
	const statements = [
		sql`alter table templates
			add column doze text,
			add column doze_after_ms int,
			add column sleep_after_ms int`,
		sql`alter table sandboxes
			add column doze text not null default 'idle',
			add column doze_after_ms int not null default 15000,
			add column sleep_after_ms int not null default 600000,
			add column unasked boolean not null default false,
			add column state_since timestamptz(3) not null default now(),
			add column state_ms jsonb not null default '{}'`,
		// One that sleeps unasked runs out like one that runs.
		sql`drop index sandboxes_expiry`,
		sql`create index sandboxes_expiry on sandboxes (end_at) where state in ('running', 'dozing', 'failed') or unasked`,
		// Without a foreign key, as events are: it is told a while longer than the sandbox lives.
		sql`create table transitions (
			id bigint generated always as identity primary key,
			sandbox_id text not null,
			at timestamptz(3) not null,
			from_state text not null,
			to_state text not null,
			reason text not null,
			lasted_ms bigint not null)`,
		sql`create index transitions_of_sandbox on transitions (sandbox_id, id)`,
		sql`create index transitions_by_age on transitions (at)`,
	];
	for (const statement of statements) await statement.execute(db);
}
