import { type Kysely, sql } from "kysely";

/**
 * Generations outlive who made them for as long as something starts from them; snapshots.
 * What refers to a generation does so by a foreign key, so that none in use can be deleted, whoever is at work meanwhile.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
	const statements = [
		sql`alter table generations
			drop constraint generations_check,
			drop constraint generations_sandbox_id_fkey,
			drop constraint generations_template_id_fkey,
			add constraint generations_sandbox_id_fkey foreign key (sandbox_id) references sandboxes (id) on delete set null,
			add constraint generations_template_id_fkey foreign key (template_id) references templates (id) on delete set null,
			add column label text,
			add column access_token text,
			add column corrupt boolean not null default false,
			add column disk_bytes bigint not null default 0`,
		sql`update generations set access_token = sandboxes.access_token
			from sandboxes where sandboxes.id = generations.sandbox_id`,
		sql`update sandboxes set generation_id = null, generation_memory = null
			where generation_id is not null and not exists (select from generations where id = sandboxes.generation_id)`,
		sql`update templates set generation_id = null
			where generation_id is not null and not exists (select from generations where id = templates.generation_id)`,
		sql`alter table sandboxes
			add constraint sandboxes_generation_id_fkey foreign key (generation_id) references generations (id)`,
		sql`alter table templates
			add constraint templates_generation_id_fkey foreign key (generation_id) references generations (id)`,
		sql`create index generations_of_nobody on generations (id) where sandbox_id is null and template_id is null`,
		sql`create index sandboxes_generation on sandboxes (generation_id)`,
		// One row a tag; the tags of one name share an id. What is without a name has one tag.
		sql`create table snapshots (
			id text not null,
			tag text not null,
			team_id uuid not null references teams (id) on delete cascade,
			name text,
			sandbox_id text not null,
			template_id text not null references templates (id),
			generation_id text not null references generations (id),
			cpu_count int not null, memory_mib int not null, disk_mib int not null, pids int not null,
			env_vars jsonb not null,
			created_at timestamptz(3) not null default now(),
			primary key (id, tag),
			unique (team_id, name, tag))`,
		sql`create index snapshots_generation on snapshots (generation_id)`,
	];
	for (const statement of statements) await statement.execute(db);
}
