import { createHash, randomBytes } from "node:crypto";
import type pg from "pg";

/** Another team, with a key of its own. */
export async function addTeam(database: pg.Client, name: string): Promise<string> {
	const key = `e2b_${randomBytes(20).toString("hex")}`;
	const { rows } = await database.query("insert into teams (name) values ($1) returning id", [name]);
	const hash = createHash("sha256").update(key).digest();
	await database.query("insert into api_keys (team_id, name, hash) values ($1, 'theirs', $2)", [rows[0].id, hash]);
	return key;
}
