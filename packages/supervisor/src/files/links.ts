import { lstat, readlink, realpath } from "node:fs/promises";
import { posix } from "node:path";
import { errnoCode, filing } from "../errno.ts";

/** As many as the kernel follows. */
const MOST_LINKS = 40;

/** The real path that a write to `path` goes to, whatever of it is there yet: behind all symbolic links. */
export async function writtenPath(path: string): Promise<string> {
	try {
		return await realpath(path);
	} catch (error) {
		if (errnoCode(error) !== "ENOENT") return filing(`writing '${path}'`, Promise.reject(error));
	}
	return walk(path);
}

/** Name by name: what a link says is read from where the link really is. */
async function walk(path: string): Promise<string> {
	const names = path.split("/").filter(Boolean);
	let at = "/";
	let links = 0;
	for (let name = names.shift(); name !== undefined; name = names.shift()) {
		if (name === ".") continue;
		const next = posix.join(at, name);
		const link = name === ".." ? undefined : await linkAt(next);
		if (link === undefined) {
			at = next;
			continue;
		}
		if (++links > MOST_LINKS) {
			const error = Object.assign(new Error("ELOOP: too many symbolic links encountered"), { code: "ELOOP" });
			return filing(`writing '${path}'`, Promise.reject(error));
		}
		if (link.startsWith("/")) at = "/";
		names.unshift(...link.split("/").filter(Boolean));
	}
	return at;
}

/** What a symbolic link says; undefined for what is none, or not there. */
async function linkAt(path: string): Promise<string | undefined> {
	try {
		return (await lstat(path)).isSymbolicLink() ? await readlink(path) : undefined;
	} catch (error) {
		if (errnoCode(error) === "ENOENT") return undefined;
		return filing(`reading '${path}'`, Promise.reject(error));
	}
}
