import type { BigIntStats } from "node:fs";
import { lstat, readlink, realpath, stat } from "node:fs/promises";
import { posix } from "node:path";
import { filing } from "../errno.ts";
import type { Attributes } from "../files/attributes.ts";
import type { Metadata } from "../files/metadata.ts";
import type { Users } from "../users/users.ts";
import { permissionString } from "./permissions.ts";

/** One name in a directory, and what it is. */
export interface Entry {
	readonly name: string;
	/** Of a symbolic link, what it leads to; `symlink` when it leads nowhere. */
	readonly kind: "file" | "directory" | "symlink" | "other";
	readonly path: string;
	readonly size: bigint;
	/** Permission bits, of the target. */
	readonly mode: number;
	readonly permissions: string;
	readonly owner: string;
	readonly group: string;
	readonly modifiedAtNs: bigint;
	readonly symlinkTarget: string | undefined;
	readonly metadata: Metadata;
}

export interface EntryReader {
	readonly users: Users;
	readonly attributes: Attributes;
}

/** Throws `path_not_found`. */
export async function readEntry({ users, attributes }: EntryReader, path: string): Promise<Entry> {
	const link = await filing(`reading '${path}'`, lstat(path, { bigint: true }));
	const { target, symlinkTarget } = link.isSymbolicLink() ? await follow(path) : { target: link };
	const kind = kindOf(target);
	return {
		name: posix.basename(path),
		kind,
		path,
		size: link.size,
		mode: Number((target ?? link).mode) & 0o777,
		permissions: permissionString(Number(link.mode)),
		owner: users.userName(Number(link.uid)),
		group: users.groupName(Number(link.gid)),
		modifiedAtNs: link.mtimeNs,
		symlinkTarget,
		// Only these can carry `user.` attributes, and a device must not be asked.
		metadata:
			target && (kind === "file" || kind === "directory") ? await attributes.read(symlinkTarget ?? path, target) : {},
	};
}

async function follow(path: string): Promise<{ target?: BigIntStats; symlinkTarget: string }> {
	try {
		const [target, symlinkTarget] = await Promise.all([stat(path, { bigint: true }), realpath(path)]);
		return { target, symlinkTarget };
	} catch {
		// A link that leads nowhere still says where it wanted to lead.
		return { symlinkTarget: await filing(`reading the link '${path}'`, readlink(path)) };
	}
}

function kindOf(target: BigIntStats | undefined): Entry["kind"] {
	if (target === undefined) return "symlink";
	if (target.isFile()) return "file";
	return target.isDirectory() ? "directory" : "other";
}
