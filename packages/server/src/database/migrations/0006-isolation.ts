import { type Kysely, sql } from "kysely";

/** A template's stored states, one for each isolation that was asked for; what a template and a team say of isolation. */
export async function up(db: Kysely<unknown>): Promise<void> {
	const statements = [
		sql`create table template_generations (
			template_id text not null references templates (id) on delete cascade,
			isolation text not null,
			generation_id text not null references generations (id),
			primary key (template_id, isolation))`,
		sql`create index template_generations_generation on template_generations (generation_id)`,
		sql`insert into template_generations (template_id, isolation, generation_id)
			select templates.id, generations.isolation, generations.id
			from templates join generations on generations.id = templates.generation_id`,
		sql`alter table templates drop column generation_id, add column isolation text`,
		sql`alter table teams add column minimum_isolation text`,
	];
	for (const statement of statements) await statement.execute(db);
}
