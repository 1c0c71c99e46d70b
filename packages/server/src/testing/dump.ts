import assert from "node:assert/strict";
import type pg from "pg";

/** Everything that a database holds, as text; but for the tables left out. */
export async function dumpDatabase(database: pg.Client, { without = [] as string[] } = {}): Promise<string> {
	const { rows: tables } = await database.query(
		"select table_name as name from information_schema.tables where table_schema = 'public' order by 1",
	);
	assert.ok(tables.length > 10, "the query finds the tables");
	let text = "";
	for (const { name } of tables) {
		if (without.includes(name)) continue;
		const { rows } = await database.query(`select t::text as row from "${name}" t order by 1`);
		text += rows.map(({ row }) => `${name} ${row}\n`).join("");
	}
	return text;
}
