import { readFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";

const USER = "dormice";

/** What the platform's database says there is. */
export interface Rows {
	/** Sandboxes by id, with their states. */
	sandboxes: Map<string, string>;
	generations: Set<string>;
}

/** Reads the database as the server's user, the only one that it lets in. Throws while PostgreSQL does not answer. */
export async function readRows(data: string): Promise<Rows> {
	const database = new pg.Client({ host: join(data, "run/postgres"), user: USER, database: USER });
	database.on("error", () => undefined);
	const connected = asUser(() => database.connect());
	try {
		await connected;
		const sandboxes = await database.query<{ id: string; state: string }>("select id, state from sandboxes");
		const generations = await database.query<{ id: string }>("select id from generations");
		return {
			sandboxes: new Map(sandboxes.rows.map(({ id, state }) => [id, state])),
			generations: new Set(generations.rows.map(({ id }) => id)),
		};
	} finally {
		await database.end();
	}
}

/** PostgreSQL asks the kernel who it was that connected, which happens before this returns. */
function asUser<T>(work: () => T): T {
	const entry = readFileSync("/etc/passwd", "utf8")
		.split("\n")
		.find((line) => line.startsWith(`${USER}:`));
	process.seteuid?.(Number(entry?.split(":")[2]));
	try {
		return work();
	} finally {
		process.seteuid?.(0);
	}
}
