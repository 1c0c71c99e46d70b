import { type Migration, Migrator } from "kysely";
import type { Vault } from "../secrets/vault.ts";
import { type Database, fromDatabaseError } from "./database.ts";
import * as first from "./migrations/0001-first.ts";
import * as generations from "./migrations/0002-generations.ts";
import * as ladder from "./migrations/0003-ladder.ts";
import * as retention from "./migrations/0004-retention.ts";
import * as hooks from "./migrations/0005-hooks.ts";
import * as isolation from "./migrations/0006-isolation.ts";
import * as roles from "./migrations/0007-roles.ts";
import * as sealed from "./migrations/0008-sealed.ts";

/** In the order of their names. A migration that has shipped is never edited. */
const migrations = (vault: Vault): Record<string, Migration> => ({
	"0001-first": first,
	"0002-generations": generations,
	"0003-ladder": ladder,
	"0004-retention": retention,
	"0005-hooks": hooks,
	"0006-isolation": isolation,
	"0007-roles": roles,
	"0008-sealed": { up: (db) => sealed.up(db, vault) },
});

/** Brings the schema up to date. Kysely holds an advisory lock meanwhile, so servers that start together take turns. */
export async function migrate(db: Database, vault: Vault): Promise<void> {
	const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations(vault) } });
	const { error } = await migrator.migrateToLatest();
	if (error !== undefined) throw fromDatabaseError(error, "bringing the schema up to date");
}
