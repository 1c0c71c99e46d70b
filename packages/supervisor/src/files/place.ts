import { createReadStream, type Stats } from "node:fs";
import { chmod, type FileHandle, lchown, open, rm, stat } from "node:fs/promises";
import { posix } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { DormiceError } from "@dormice/protocol";
import { errnoCode, fileError, filing } from "../errno.ts";
import { ensureDirectory } from "../filesystem/directories.ts";
import type { Watchers } from "../filesystem/watchers.ts";
import { log } from "../log.ts";
import type { User } from "../users/users.ts";
import type { Attributes } from "./attributes.ts";
import { writtenPath } from "./links.ts";
import type { Metadata } from "./metadata.ts";
import { openRegular, requireRegular } from "./regular.ts";
import type { Staging } from "./staging.ts";

const PIECE_BYTES = 256 * 1024;

export interface Placing {
	readonly user: User;
	readonly metadata: Metadata;
	/** Called when the content has ended, before it counts; throws when it was not all. */
	readonly confirm?: () => void;
}

/** Writes whole files: what a sandbox's clients send. */
export class Placer {
	readonly attributes: Attributes;
	readonly #staging: Staging;
	readonly #watchers: Watchers;
	/** By file: the last rewriting of it, so that no two are mixed. */
	readonly #rewriting = new Map<string, Promise<unknown>>();

	constructor(parts: { attributes: Attributes; staging: Staging; watchers: Watchers }) {
		this.attributes = parts.attributes;
		this.#staging = parts.staging;
		this.#watchers = parts.watchers;
	}

	/**
	 * Writes a whole file at `path`, or nothing: the bytes go to a staging directory and take their place by a rename when
	 * all are there. So a full disk leaves the old content, who reads finds the old file or the new one, and of writes at the
	 * same moment one remains. Parents are made; symbolic links are followed, also to what is not there yet. The file
	 * is the user's; one that exists keeps its mode and attributes, and its hard links (see `#settle`).
	 */
	async place(path: string, content: Readable, placing: Placing): Promise<void> {
		try {
			// Links of /proc lead to what has no path (`/dev/stdout` may be a pipe), so what is there is asked before its name.
			await regularAt(path, path);
			const target = await writtenPath(path);
			await regularAt(target, path);
			await ensureDirectory(posix.dirname(target), placing.user);
			const staged = await this.#staging.path(posix.dirname(target));
			try {
				// Opened here, not by the stream: one that is destroyed early would still make the file, after its removal.
				await using file = await create(staged, path);
				await pipeline(content, file.createWriteStream());
				placing.confirm?.();
				await this.#settle(staged, target, placing);
			} finally {
				await rm(staged, { force: true });
			}
		} catch (error) {
			throw fileError(error, `writing '${path}'`);
		}
	}

	/**
	 * A file with several names is rewritten rather than replaced, so that all of them have the new content; so is one that
	 * is a mount of its own. Who reads such a file meanwhile may find it half-written. As all bytes are there already,
	 * it is replaced if it cannot be rewritten (no room for both, a program that runs).
	 */
	async #settle(staged: string, target: string, placing: Placing): Promise<void> {
		const existing = await regularAt(target, target);
		if (existing && existing.nlink > 1 && (await this.#rewrite(staged, target, existing, placing))) return;
		const { attributes } = this;
		const { user, metadata } = placing;
		await lchown(staged, user.uid, user.gid);
		// New content has not earned the old one's set-user-ID bit.
		await chmod(staged, existing ? existing.mode & 0o1777 : 0o644);
		if (existing) await attributes.copyOthers(target, staged);
		this.#watchers.expect(target, { isReplaced: existing !== undefined });
		try {
			await attributes.place(staged, target, metadata);
		} catch (error) {
			const isMount = errnoCode(error) === "EBUSY" && existing;
			if (!isMount || !(await this.#rewrite(staged, target, existing, placing))) throw error;
		}
	}

	/** Copies the content into the file that is there, one copy at a time. False when it did not work, and the file may be anything. */
	async #rewrite(staged: string, target: string, { dev, ino }: Stats, placing: Placing): Promise<boolean> {
		const key = `${dev}:${ino}`;
		const work = (this.#rewriting.get(key) ?? Promise.resolve()).then(() => this.#copy(staged, target, placing));
		this.#rewriting.set(key, work);
		try {
			return await work;
		} finally {
			if (this.#rewriting.get(key) === work) this.#rewriting.delete(key);
		}
	}

	async #copy(staged: string, target: string, { user, metadata }: Placing): Promise<boolean> {
		try {
			await using opened = await openRegular(target, "write");
			const { file } = opened;
			await file.writeFile(createReadStream(staged, { highWaterMark: PIECE_BYTES }));
			// The end comes off last: who reads meanwhile never finds the file empty.
			const { size } = await stat(staged);
			const now = await file.stat();
			if (now.size > size) await file.truncate(size);
			if (now.uid !== user.uid || now.gid !== user.gid) await file.chown(user.uid, user.gid);
			await this.attributes.replace(target, metadata);
			return true;
		} catch (error) {
			log("debug", "a file is replaced, not rewritten", { path: target, error: String(error) });
			return false;
		}
	}
}

/** What is there, which must be a regular file: a FIFO or a device would take the bytes to whoever reads it, or wait for a reader. */
async function regularAt(target: string, path: string): Promise<Stats | undefined> {
	try {
		const existing = await stat(target);
		requireRegular(path, existing);
		return existing;
	} catch (error) {
		if (errnoCode(error) === "ENOENT") return undefined;
		return filing(`writing '${path}'`, Promise.reject(error));
	}
}

/** Opens a file that is not there yet, in a directory that is. */
async function create(staged: string, path: string): Promise<FileHandle> {
	try {
		return await open(staged, "wx", 0o600);
	} catch (error) {
		if (errnoCode(error) !== "ENOENT") throw error;
		throw new DormiceError("invalid_argument", `path '${path}' is in a directory that takes no files`, {
			cause: error,
		});
	}
}
