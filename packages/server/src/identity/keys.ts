import { randomBytes } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { DormiceError } from "@dormice/protocol";
import { sql } from "kysely";
import { type Database, fromDatabaseError } from "../database/database.ts";
import { hashKey, keyOf } from "./identity.ts";
import type { Role } from "./role.ts";

/** What is known of an API key: not the key. */
export interface Key {
	id: string;
	name: string;
	role: Role;
	createdAt: Date;
}

const TOLD = ["id", "name", "role", "createdAt"] as const;

/** A team's keys, the oldest first. */
export async function listKeys(database: Database, teamId: string): Promise<Key[]> {
	return await database
		.selectFrom("apiKeys")
		.select(TOLD)
		.where("teamId", "=", teamId)
		.orderBy("createdAt")
		.orderBy("id")
		.execute()
		.catch((error: unknown) => {
			throw fromDatabaseError(error, "listing API keys");
		});
}

/** Makes a key of the form that every E2B client takes. Only its hash is stored: this is the one time that it is told. */
export async function addKey(
	database: Database,
	{ teamId, name, role }: { teamId: string; name: string; role: Role },
): Promise<{ key: string; row: Key }> {
	const key = `e2b_${randomBytes(20).toString("hex")}`;
	const row = await database
		.insertInto("apiKeys")
		.values({ teamId, name, role, hash: hashKey(key) })
		.returning(TOLD)
		.executeTakeFirstOrThrow()
		.catch((error: unknown) => {
			throw fromDatabaseError(error, "making an API key");
		});
	return { key, row };
}

/** Throws `key_not_found`, and `state_conflict` for the key that asks: there would be none left to undo it with. */
export async function deleteKey(
	database: Database,
	{ teamId, id, asking }: { teamId: string; id: string; asking: IncomingHttpHeaders },
): Promise<void> {
	const own = hashKey(keyOf(asking) ?? "");
	try {
		const found = await database
			.selectFrom("apiKeys")
			.select(["id", "hash"])
			.where(sql<string>`id::text`, "=", id)
			.where("teamId", "=", teamId)
			.executeTakeFirst();
		if (found === undefined) throw new DormiceError("key_not_found", `Your team has no API key '${id.slice(0, 64)}'.`);
		if (found.hash.equals(own)) {
			throw new DormiceError("state_conflict", "This is the key that asks: delete it with another one.");
		}
		await database.deleteFrom("apiKeys").where("id", "=", found.id).execute();
	} catch (error) {
		throw error instanceof DormiceError ? error : fromDatabaseError(error, "deleting an API key");
	}
}
