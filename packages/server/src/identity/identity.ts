import { createHash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { DormiceError, type Isolation } from "@dormice/protocol";
import { sql } from "kysely";
import { type Database, fromDatabaseError } from "../database/database.ts";
import type { Role } from "./role.ts";

/** Who asks. */
export interface Team {
	id: string;
	name: string;
	/** What its sandboxes are kept apart by at least; null: anything. */
	minimumIsolation: Isolation | null;
}

/** Whose key a request carries, and what it may do. */
export interface Caller {
	team: Team;
	role: Role;
}

interface Known {
	caller: Caller | undefined;
	untilMs: number;
}

/** How long an answer of the database is believed: a deleted key works that much longer. */
const BELIEVED_MS = 30_000;
const MAX_KNOWN = 10_000;

/** API keys → teams and roles. Keys are stored, compared and remembered as hashes only. */
export class Identity {
	readonly #database: Database;
	readonly #known = new Map<string, Known>();

	constructor(database: Database) {
		this.#database = database;
	}

	/** The team and role of a request's key: `X-API-Key`, or `Authorization: Bearer`. Throws `unauthenticated`. */
	async authenticate(headers: IncomingHttpHeaders): Promise<Caller> {
		const key = keyOf(headers);
		if (key === undefined) {
			throw new DormiceError("unauthenticated", "authorization header is missing: send your API key as X-API-Key");
		}
		const hash = hashKey(key);
		const name = hash.toString("base64");
		const known = this.#known.get(name);
		const caller = known !== undefined && known.untilMs > Date.now() ? known.caller : await this.#ask(name, hash);
		if (caller === undefined) {
			throw new DormiceError("unauthenticated", "Invalid API key: this platform has no such key.");
		}
		return caller;
	}

	/**
	 * Changes what a team says; answers it as it is then, undefined if there is none with this id. Other servers believe
	 * what they know for half a minute.
	 */
	async change(teamId: string, set: { minimumIsolation: Isolation | null }): Promise<Team | undefined> {
		try {
			return await this.#database
				.updateTable("teams")
				.set(set)
				.where(sql<string>`id::text`, "=", teamId)
				.returning(["id", "name", "minimumIsolation"])
				.executeTakeFirst();
		} catch (error) {
			throw fromDatabaseError(error, "changing a team");
		} finally {
			this.#known.clear();
		}
	}

	/** Believes nothing of what it knows: a key was deleted. Other servers believe what they know for half a minute. */
	forget(): void {
		this.#known.clear();
	}

	async #ask(name: string, hash: Buffer): Promise<Caller | undefined> {
		const row = await this.#database
			.selectFrom("apiKeys")
			.innerJoin("teams", "teams.id", "apiKeys.teamId")
			.select(["teams.id", "teams.name", "teams.minimumIsolation", "apiKeys.role"])
			.where("apiKeys.hash", "=", hash)
			.executeTakeFirst()
			.catch((error: unknown) => {
				throw fromDatabaseError(error, "looking up an API key");
			});
		// Forgetting everything now and then is the cheapest bound there is.
		if (this.#known.size >= MAX_KNOWN) this.#known.clear();
		const caller = row === undefined ? undefined : toCaller(row);
		this.#known.set(name, { caller, untilMs: Date.now() + BELIEVED_MS });
		return caller;
	}
}

/** Makes sure that the key works and is an operator's, for the first team, which is made if there is none. */
export async function ensureKey(db: Database, key: string): Promise<void> {
	await db.transaction().execute(async (queries) => {
		const team = await queries
			.insertInto("teams")
			.values({ name: "default" })
			.onConflict((conflict) => conflict.column("name").doUpdateSet({ name: "default" }))
			.returning("id")
			.executeTakeFirstOrThrow();
		await queries
			.insertInto("apiKeys")
			.values({ teamId: team.id, name: "first", hash: hashKey(key), role: "operator" })
			.onConflict((conflict) => conflict.column("hash").doUpdateSet({ role: "operator" }))
			.execute();
	});
}

function toCaller({ role, ...team }: Team & { role: Role }): Caller {
	return { team, role };
}

/** The key a request carries. */
export function keyOf(headers: IncomingHttpHeaders): string | undefined {
	const key = headers["x-api-key"];
	if (typeof key === "string" && key !== "") return key;
	return /^Bearer +(\S+)$/i.exec(headers.authorization ?? "")?.[1];
}

export function hashKey(key: string): Buffer {
	return createHash("sha256").update(key).digest();
}
