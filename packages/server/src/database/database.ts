import { DormiceError } from "@dormice/protocol";
import { CamelCasePlugin, Kysely, PostgresDialect, sql, type Transaction } from "kysely";
import pg from "pg";
import type { Logger } from "../log.ts";
import type { Schema } from "./schema.ts";

export type Database = Kysely<Schema>;
/** Either the database or a transaction on it. */
export type Queries = Database | Transaction<Schema>;

/** int8 as a number: byte counts and event ids stay far below 2^53. */
function readBigintAsNumber(oid: number, format?: "text" | "binary"): (value: string) => unknown {
	if (oid === pg.types.builtins.INT8) return Number;
	return format === "binary" ? pg.types.getTypeParser(oid, "binary") : pg.types.getTypeParser(oid, "text");
}

/** A pool of connections; opens none before the first query. Close with `destroy()`. */
export function openDatabase(url: string, log: Logger): Database {
	const pool = new pg.Pool({
		connectionString: url,
		max: 10,
		connectionTimeoutMillis: 5_000,
		// A query that hangs for this long is a lost connection, and must not hold a request for ever.
		query_timeout: 30_000,
		types: { getTypeParser: readBigintAsNumber as typeof pg.types.getTypeParser },
	});
	// An idle connection that breaks is replaced on the next query.
	pool.on("error", (error) => log.debug({ err: error }, "an idle database connection broke"));
	return new Kysely<Schema>({
		dialect: new PostgresDialect({ pool }),
		plugins: [new CamelCasePlugin({ maintainNestedObjectKeys: true })],
	});
}

/** Whether the database answers now. Throws `database_unavailable` when it does not. */
export async function pingDatabase(db: Database): Promise<void> {
	try {
		await sql`select 1`.execute(db);
	} catch (error) {
		throw fromDatabaseError(error, "asking the database whether it is there");
	}
}

/** SQLSTATE classes that say something of the server and nothing of the query: connection, resources, operator. */
const UNAVAILABLE = /^(08|53|57)/;

/** PostgreSQL's error → ours. */
export function fromDatabaseError(error: unknown, doing: string): DormiceError {
	if (error instanceof DormiceError) return error;
	const code = error instanceof Error && "code" in error ? String(error.code) : "";
	const answered = error instanceof pg.DatabaseError && !UNAVAILABLE.test(code);
	return answered
		? new DormiceError("internal", `The database refused: ${doing}.`, { cause: error })
		: new DormiceError(
				"database_unavailable",
				`The database does not answer (${doing}): check that PostgreSQL runs where DATABASE_URL says.`,
				{ cause: error },
			);
}
