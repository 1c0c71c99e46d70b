import { cp, lchown, lstat, readdir, rename, rm } from "node:fs/promises";
import { posix } from "node:path";
import { errnoCode, filing } from "../errno.ts";
import type { User } from "../users/users.ts";
import { ensureDirectory } from "./directories.ts";

/** Renames, also from one file system to another: `/tmp` is one of its own. */
export async function move(source: string, destination: string, user: User): Promise<void> {
	await filing(`moving '${source}'`, lstat(source));
	await ensureDirectory(posix.dirname(destination), user);
	try {
		await rename(source, destination);
	} catch (error) {
		const work = errnoCode(error) === "EXDEV" ? carry(source, destination) : Promise.reject(error);
		await filing(`moving '${source}'`, work);
	}
}

async function carry(source: string, destination: string): Promise<void> {
	const temporary = posix.join(posix.dirname(destination), `.dormice-move-${process.hrtime.bigint().toString(36)}`);
	try {
		await cp(source, temporary, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
		await copyOwners(source, temporary);
		await rename(temporary, destination);
	} catch (error) {
		await rm(temporary, { recursive: true, force: true });
		throw error;
	}
	await rm(source, { recursive: true });
}

async function copyOwners(source: string, copy: string): Promise<void> {
	const info = await lstat(source);
	await lchown(copy, info.uid, info.gid);
	if (!info.isDirectory()) return;
	for (const name of await readdir(source)) await copyOwners(posix.join(source, name), posix.join(copy, name));
}
