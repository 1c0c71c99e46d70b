import { type Kysely, sql } from "kysely";

/** Teams and keys, templates, generations, sandboxes, events, metrics. */
export async function up(db: Kysely<unknown>): Promise<void> {
	const statements = [
		sql`create table pools (
			id text primary key,
			created_at timestamptz(3) not null default now())`,
		sql`create table teams (
			id uuid primary key default gen_random_uuid(),
			name text not null unique,
			created_at timestamptz(3) not null default now())`,
		sql`create table api_keys (
			id uuid primary key default gen_random_uuid(),
			team_id uuid not null references teams (id) on delete cascade,
			name text not null,
			hash bytea not null unique,
			created_at timestamptz(3) not null default now())`,
		sql`create table templates (
			id text primary key,
			alias text not null unique,
			rootfs_id text not null,
			generation_id text,
			cpu_count int not null, memory_mib int not null, disk_mib int not null, pids int not null,
			spawn_count int not null default 0,
			last_spawned_at timestamptz(3),
			created_at timestamptz(3) not null default now(),
			updated_at timestamptz(3) not null default now())`,
		sql`create table sandboxes (
			id text primary key,
			team_id uuid not null references teams (id),
			template_id text not null references templates (id),
			state text not null,
			epoch int not null,
			transition_deadline timestamptz(3),
			recovering boolean not null,
			generation_id text,
			generation_memory boolean,
			isolation text not null,
			started_at timestamptz(3) not null,
			end_at timestamptz(3) not null,
			timeout_seconds int not null,
			auto_pause boolean not null, auto_pause_memory boolean not null, auto_resume boolean not null,
			access_token text, traffic_token text,
			allow_internet_access boolean,
			network jsonb not null, metadata jsonb not null, env_vars jsonb not null,
			cpu_count int not null, memory_mib int not null, disk_mib int not null, pids int not null,
			created_at timestamptz(3) not null default now())`,
		// The listing, the timeouts and the repair loop, in this order.
		sql`create index sandboxes_listing on sandboxes (team_id, started_at desc, id)`,
		sql`create index sandboxes_expiry on sandboxes (end_at) where state in ('running', 'dozing', 'failed')`,
		sql`create index sandboxes_unsettled on sandboxes (state) where state <> 'asleep'`,
		sql`create table generations (
			id text primary key,
			sandbox_id text references sandboxes (id) on delete cascade,
			template_id text references templates (id) on delete cascade,
			parent_id text,
			rootfs_id text not null,
			memory boolean not null,
			isolation text not null,
			engine_version text not null,
			guest_id text not null,
			memory_bytes bigint not null,
			reason text not null,
			created_at timestamptz(3) not null,
			check (num_nonnulls(sandbox_id, template_id) = 1))`,
		sql`create index generations_of_sandbox on generations (sandbox_id)`,
		// Without a foreign key: what happened to a sandbox is told a while longer than the sandbox lives.
		sql`create table events (
			id bigint generated always as identity primary key,
			sandbox_id text not null,
			at timestamptz(3) not null,
			kind text not null,
			reason text not null,
			duration_ms int,
			detail jsonb not null)`,
		sql`create index events_of_sandbox on events (sandbox_id, at)`,
		sql`create index events_by_age on events (at)`,
		sql`create table metrics (
			sandbox_id text not null,
			at timestamptz(3) not null,
			cpu_count int not null,
			cpu_used_pct double precision not null,
			mem_used_bytes bigint not null, mem_total_bytes bigint not null, mem_cache_bytes bigint not null,
			disk_used_bytes bigint not null, disk_total_bytes bigint not null,
			primary key (sandbox_id, at))`,
		sql`create index metrics_by_age on metrics (at)`,
	];
	for (const statement of statements) await statement.execute(db);
}
