import { randomUUID } from "node:crypto";
import { createReadStream, type Stats } from "node:fs";
import { chmod, type FileHandle, lchown, open, realpath, rm, stat } from "node:fs/promises";
import { posix } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { DormiceError } from "@dormice/protocol";
import { errnoCode, fileError, filing } from "../errno.ts";
import { ensureDirectory } from "../filesystem/directories.ts";
import { uploadName } from "../filesystem/watch-events.ts";
import { log } from "../log.ts";
import type { User } from "../users/users.ts";
import type { Attributes } from "./attributes.ts";
import type { Metadata } from "./metadata.ts";
import { openRegular, requireRegular } from "./regular.ts";

const LARGEST_REWRITE_BYTES = 8 * 1024 * 1024;

export interface Placing {
	readonly attributes: Attributes;
	readonly user: User;
	readonly metadata: Metadata;
	/** Called when the content has ended, before it counts; throws when it was not all. */
	readonly confirm?: () => void;
}

/**
 * Writes a whole file at `path`, or nothing: the bytes go to a name of their own beside it and take its place when all
 * are there, so a full disk leaves the old content. Parents are made; a file that exists keeps its mode and owner; a
 * symbolic link stays one.
 *
 * A file that exists is rewritten from there rather than replaced, when it is small: it stays the same inode, so its
 * hard links hold and a program that has it open sees the new content. Replaced, it would be an open file without a
 * name to that program, and gVisor cannot store a sandbox that has one. The price is writing it twice, and that
 * somebody may read it half-written, so a large one is replaced, as is one with metadata to set or to clear; and as
 * all bytes are there already, so is one that cannot be rewritten (no room for both, a program that runs).
 */
export async function placeFile(path: string, content: Readable, placing: Placing): Promise<void> {
	const { user, attributes, metadata } = placing;
	try {
		await ensureDirectory(posix.dirname(path), user);
		const { target, existing } = await destination(path);
		const temporary = posix.join(posix.dirname(target), uploadName(existing !== undefined, randomUUID().slice(0, 8)));
		try {
			// Opened here, not by the stream: one that is destroyed early would still make the file, after its removal.
			await using file = await create(temporary, path);
			await pipeline(content, file.createWriteStream());
			placing.confirm?.();
			if (existing && (await isRewritable(target, temporary, placing)) && (await rewrite(target, temporary))) {
				await rm(temporary);
				return;
			}
			await lchown(temporary, existing?.uid ?? user.uid, existing?.gid ?? user.gid);
			await chmod(temporary, existing ? existing.mode & 0o7777 : 0o644);
			await attributes.place(temporary, target, metadata);
		} catch (error) {
			await rm(temporary, { force: true });
			throw error;
		}
	} catch (error) {
		throw fileError(error, `writing '${path}'`);
	}
}

/**
 * Where the bytes belong: behind a symbolic link, what it leads to, there or not yet. What is there must be a regular
 * file: a FIFO or a device would take the bytes to whoever reads it, or wait for a reader for ever.
 */
async function destination(path: string): Promise<{ target: string; existing?: Stats }> {
	try {
		// Links of /proc lead to what has no path (`/dev/stdout` may be a pipe), so what is there is asked before its name.
		requireRegular(path, await stat(path));
		const target = await realpath(path);
		const existing = await stat(target);
		requireRegular(path, existing);
		return { target, existing };
	} catch (error) {
		if (errnoCode(error) !== "ENOENT") return filing(`writing '${path}'`, Promise.reject(error));
		return { target: path };
	}
}

/** What a directory says that takes no files, such as `/proc`, `/sys` or one that is immutable: we are root. */
const TAKES_NO_FILES = new Set(["ENOENT", "EPERM", "EACCES"]);

/** Opens a file that is not there yet, in a directory that is. */
async function create(temporary: string, path: string): Promise<FileHandle> {
	try {
		return await open(temporary, "wx", 0o600);
	} catch (error) {
		if (!TAKES_NO_FILES.has(errnoCode(error) ?? "")) throw error;
		throw new DormiceError("invalid_argument", `path '${path}' is in a directory that takes no files`, {
			cause: error,
		});
	}
}

async function isRewritable(target: string, temporary: string, { attributes, metadata }: Placing): Promise<boolean> {
	if (Object.keys(metadata).length > 0 || (await stat(temporary)).size > LARGEST_REWRITE_BYTES) return false;
	return Object.keys(await attributes.read(target, await stat(target, { bigint: true }))).length === 0;
}

/** Copies the content into a file that exists. False when it did not work, and the target may be anything. */
async function rewrite(target: string, source: string): Promise<boolean> {
	try {
		await using opened = await openRegular(target, "write");
		const { file } = opened;
		await file.writeFile(createReadStream(source, { highWaterMark: 256 * 1024 }));
		// The end comes off last: who reads meanwhile never finds the file empty.
		const { size } = await stat(source);
		if ((await file.stat()).size > size) await file.truncate(size);
		return true;
	} catch (error) {
		log("debug", "a file is replaced, not rewritten", { path: target, error: String(error) });
		return false;
	}
}
