import { randomBytes } from "node:crypto";
import { chmodSync, chownSync, existsSync, statSync } from "node:fs";
import type { PlatformPaths } from "../platform/paths.ts";
import { writeDurably } from "../platform/settings.ts";
import { requireUser, type UserIds } from "../platform/user.ts";
import type { SetupStep } from "./step.ts";

const MODE = 0o600;

/** The key that the server seals secrets in the database with. Only the server may read it; it is never replaced. */
export function secretsKeyStep({ secretsKey: path }: PlatformPaths): SetupStep {
	return {
		title: "Make a key for the database's secrets",
		isDone: () => isAsWanted(path, requireUser()),
		async run() {
			const { uid, gid } = requireUser();
			if (!existsSync(path)) writeDurably(path, `${randomBytes(32).toString("hex")}\n`, MODE);
			chownSync(path, uid, gid);
			chmodSync(path, MODE);
		},
	};
}

function isAsWanted(path: string, { uid, gid }: UserIds): boolean {
	const found = statSync(path, { throwIfNoEntry: false });
	return found?.isFile() === true && (found.mode & 0o7777) === MODE && found.uid === uid && found.gid === gid;
}
