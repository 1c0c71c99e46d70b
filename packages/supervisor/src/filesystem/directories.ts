import { lchown, mkdir, stat } from "node:fs/promises";
import { posix } from "node:path";
import { DormiceError } from "@dormice/protocol";
import { errnoCode, filing } from "../errno.ts";
import type { User } from "../users/users.ts";

/** Makes a directory and what is missing above it, 0755 and the user's. `already_exists` when it is there. */
export async function makeDirectory(path: string, user: User): Promise<void> {
	const info = await statIfThere(path);
	if (info?.isDirectory()) throw new DormiceError("already_exists", `directory already exists: ${path}`);
	if (info) throw new DormiceError("invalid_argument", `path already exists but it is not a directory: ${path}`);
	await ensureDirectory(path, user);
}

/** As `makeDirectory`, content with one that is there. */
export async function ensureDirectory(path: string, user: User): Promise<void> {
	const info = await statIfThere(path);
	if (info?.isDirectory()) return;
	if (info) throw new DormiceError("invalid_argument", `path is not a directory: ${path}`);
	await ensureDirectory(posix.dirname(path), user);
	try {
		await mkdir(path, 0o755);
		await lchown(path, user.uid, user.gid);
	} catch (error) {
		// Two requests may make the same parent at once; a link that leads nowhere is there, and no directory.
		if (errnoCode(error) !== "EEXIST") throw await filing(`making '${path}'`, Promise.reject(error));
		if ((await statIfThere(path))?.isDirectory()) return;
		throw new DormiceError("invalid_argument", `path is not a directory: ${path}`, { cause: error });
	}
}

async function statIfThere(path: string) {
	try {
		return await stat(path);
	} catch (error) {
		if (errnoCode(error) === "ENOENT") return undefined;
		return filing(`reading '${path}'`, Promise.reject(error));
	}
}
