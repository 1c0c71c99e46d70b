import { readFile } from "node:fs/promises";
import { DormiceError } from "@dormice/protocol";
import type { Config, Secrets } from "../config.ts";
import { type Database, fromDatabaseError } from "../database/database.ts";
import { Vault } from "./vault.ts";

/** The vault with this server's key. Throws `not_set_up` when there is none. */
export async function openVault({ secretsKeyPath }: Config, { secretsKey }: Secrets): Promise<Vault> {
	return new Vault(secretsKey ?? (await readKey(secretsKeyPath)));
}

async function readKey(path: string): Promise<string> {
	try {
		return (await readFile(path, "utf8")).trim();
	} catch (cause) {
		throw new DormiceError(
			"not_set_up",
			`Cannot read the key for the database's secrets, ${path}: put it back from your backup, set DORMICE_SECRETS_KEY, ` +
				"or for a new platform run `dormice setup`.",
			{ cause },
		);
	}
}

/** Throws `not_set_up` when what is in the database was sealed with another key. Nothing is written, so nothing is lost. */
export async function requireKey(database: Database, vault: Vault): Promise<void> {
	const keys = await database
		.selectFrom("secretKeys")
		.select("id")
		.execute()
		.catch((error: unknown) => {
			throw fromDatabaseError(error, "asking for the key of its secrets");
		});
	if (keys.some(({ id }) => id === vault.keyId)) return;
	throw new DormiceError(
		"not_set_up",
		`The database's secrets are sealed with key ${keys.map(({ id }) => id).join(", ")}, and this server has key ` +
			`${vault.keyId}. Put back <data>/secrets.key from your backup, or set DORMICE_SECRETS_KEY to the other servers' ` +
			"key. Nothing was changed.",
	);
}
