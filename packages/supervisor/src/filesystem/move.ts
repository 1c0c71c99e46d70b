import { cp, lchown, lstat, readdir, realpath, rename, rm } from "node:fs/promises";
import { posix } from "node:path";
import { errnoCode, filing } from "../errno.ts";
import type { Attributes } from "../files/attributes.ts";
import type { Staging } from "../files/staging.ts";
import type { User } from "../users/users.ts";
import { ensureDirectory } from "./directories.ts";

export interface Moving {
	readonly user: User;
	readonly attributes: Attributes;
	readonly staging: Staging;
}

/** Renames, also from one file system to another: `/tmp` is one of its own. Metadata goes along. */
export async function move(source: string, destination: string, moving: Moving): Promise<void> {
	const { user, attributes } = moving;
	await filing(`moving '${source}'`, lstat(source));
	await ensureDirectory(posix.dirname(destination), user);
	try {
		await rename(source, destination);
		await attributes.moved(source, destination);
	} catch (error) {
		const work = errnoCode(error) === "EXDEV" ? carry(source, destination, moving) : Promise.reject(error);
		await filing(`moving '${source}'`, work);
	}
}

async function carry(source: string, destination: string, { attributes, staging }: Moving): Promise<void> {
	const temporary = await staging.path(await realpath(posix.dirname(destination)));
	try {
		await cp(source, temporary, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
		await complete(source, temporary, attributes);
		await rename(temporary, destination);
		await attributes.moved(temporary, destination);
	} catch (error) {
		await rm(temporary, { recursive: true, force: true });
		await attributes.forget(temporary);
		throw error;
	}
	await rm(source, { recursive: true });
	await attributes.forget(source);
}

/** Gives the copy what `cp` leaves out: owners and metadata. */
async function complete(source: string, copy: string, attributes: Attributes): Promise<void> {
	const info = await lstat(source, { bigint: true });
	await lchown(copy, Number(info.uid), Number(info.gid));
	if (info.isFile()) await attributes.write(copy, await attributes.read(source, info));
	if (!info.isDirectory()) return;
	for (const name of await readdir(source))
		await complete(posix.join(source, name), posix.join(copy, name), attributes);
}
