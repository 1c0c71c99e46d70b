import { createHash } from "node:crypto";
import type { BigIntStats } from "node:fs";
import { mkdir, readdir, readFile, realpath, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { posix } from "node:path";
import { DormiceError } from "@dormice/protocol";
import { errnoCode } from "../errno.ts";
import { log } from "../log.ts";
import type { Metadata } from "./metadata.ts";

const MOST_RECORDS = 10_000;

/**
 * What is known of one path. It counts while the file there is the one it was written for: the same inode, or the same
 * time of modification. gVisor numbers a disk's inodes anew at every boot, so a number is only good while we live and
 * never stored; the time survives a boot, but not a program that writes into the file.
 */
interface Kept {
	readonly metadata: Metadata;
	mtimeNs: bigint;
	inode?: bigint;
}

/**
 * The metadata of files whose file system keeps no extended attributes: one JSON file a record, each written whole, by
 * the file's real path. Reading is from memory, filled at the first need.
 */
export class MetadataStore {
	readonly #directory: string;
	readonly #mostRecords: number;
	readonly #records = new Map<string, Kept>();
	/** Of every record there ever was: a file with another name costs no more than this look-up. */
	readonly #names = new Set<string>();
	#loaded: Promise<void> | undefined;
	#changes: Promise<unknown> = Promise.resolve();

	constructor(options: { directory: string; mostRecords?: number }) {
		this.#directory = options.directory;
		this.#mostRecords = options.mostRecords ?? MOST_RECORDS;
	}

	/** `info` is the file's own, behind any symbolic link. */
	async read(path: string, info: BigIntStats): Promise<Metadata | undefined> {
		await this.#load();
		if (!this.#names.has(posix.basename(path))) return undefined;
		const real = await realpath(path).catch(() => path);
		const kept = this.#records.get(real);
		return kept && this.#matches(kept, info) ? kept.metadata : undefined;
	}

	/** Remembers `metadata` for the file at `path`, which has a real parent. */
	async keep(path: string, metadata: Metadata): Promise<void> {
		await this.#load();
		await this.#alone(async () => this.#put(path, await record(path, metadata)));
	}

	/** Renames a finished upload together with its metadata. */
	async place(temporary: string, target: string, metadata: Metadata): Promise<void> {
		await this.#load();
		await this.#alone(async () => {
			// The record comes first: when there is no room for it, the old file and its record stay.
			await this.#put(target, await record(temporary, metadata));
			await rename(temporary, target);
		});
	}

	/** Carries the records of `from` and all below it, which has been renamed to `to`. */
	async moved(from: string, to: string): Promise<void> {
		await this.#load();
		if (this.#records.size === 0) return;
		const [old, now] = await Promise.all([realPlace(from), realPlace(to)]);
		if (old === now) return;
		await this.#alone(async () => {
			await this.#prune(this.#within(now));
			for (const [path, kept] of this.#within(old)) {
				await this.#put(now + path.slice(old.length), kept);
				await this.#drop(path);
			}
		});
	}

	/** Drops what is kept for `path` and all below it and is no longer true. */
	async forget(path: string): Promise<void> {
		await this.#load();
		if (this.#records.size === 0) return;
		const real = await realPlace(path);
		await this.#alone(() => this.#prune(this.#within(real)));
	}

	#matches(kept: Kept, info: BigIntStats): boolean {
		if (kept.inode !== info.ino && kept.mtimeNs !== info.mtimeNs) return false;
		kept.inode = info.ino;
		return true;
	}

	#within(path: string): [string, Kept][] {
		return [...this.#records].filter(([one]) => one === path || one.startsWith(`${path}/`));
	}

	async #prune(records: [string, Kept][]): Promise<void> {
		for (const [path, kept] of records) {
			const info = await stat(path, { bigint: true }).catch(() => undefined);
			if (!info || !this.#matches(kept, info)) await this.#drop(path);
		}
	}

	async #put(path: string, kept: Kept): Promise<void> {
		if (!this.#records.has(path) && this.#records.size >= this.#mostRecords) await this.#prune([...this.#records]);
		if (!this.#records.has(path) && this.#records.size >= this.#mostRecords) {
			const message = `metadata is kept for ${this.#mostRecords} files and no more: remove some, or upload without it`;
			throw new DormiceError("disk_full", message);
		}
		const { metadata, mtimeNs } = kept;
		await mkdir(this.#directory, { recursive: true, mode: 0o700 });
		const file = this.#fileOf(path);
		await writeFile(`${file}.partial`, JSON.stringify({ path, mtimeNs: String(mtimeNs), metadata }), { mode: 0o600 });
		await rename(`${file}.partial`, file);
		this.#records.set(path, kept);
		this.#names.add(posix.basename(path));
	}

	async #drop(path: string): Promise<void> {
		this.#records.delete(path);
		await rm(this.#fileOf(path), { force: true });
	}

	#fileOf(path: string): string {
		return posix.join(this.#directory, `${createHash("sha256").update(path).digest("hex")}.json`);
	}

	#load(): Promise<void> {
		this.#loaded ??= this.#readAll();
		return this.#loaded;
	}

	async #readAll(): Promise<void> {
		const names = await readdir(this.#directory).catch((error) => {
			if (errnoCode(error) !== "ENOENT") log("warn", "the metadata store cannot be read", { error: String(error) });
			return [];
		});
		for (const name of names.filter((name) => name.endsWith(".json")).slice(0, this.#mostRecords)) {
			try {
				const { path, mtimeNs, metadata } = JSON.parse(await readFile(posix.join(this.#directory, name), "utf8"));
				this.#records.set(String(path), { metadata: strings(metadata), mtimeNs: BigInt(mtimeNs) });
				this.#names.add(posix.basename(String(path)));
			} catch (error) {
				log("warn", "a metadata record cannot be read", { name, error: String(error) });
			}
		}
	}

	/** One change at a time, so that a record and its file are of the same upload. */
	#alone<T>(work: () => Promise<T>): Promise<T> {
		const done = this.#changes.then(work);
		this.#changes = Promise.allSettled([done]);
		return done;
	}
}

async function record(path: string, metadata: Metadata): Promise<Kept> {
	const { atime, mtime } = await stat(path);
	// Said aloud, the time reaches the disk; gVisor may keep for itself the one that a write left, until a cold boot.
	await utimes(path, atime, mtime);
	const { ino, mtimeNs } = await stat(path, { bigint: true });
	return { metadata, mtimeNs, inode: ino };
}

/** The real path of a name, which may itself be a link, or gone. */
async function realPlace(path: string): Promise<string> {
	const parent = await realpath(posix.dirname(path)).catch(() => posix.dirname(path));
	return posix.join(parent, posix.basename(path));
}

function strings(metadata: unknown): Metadata {
	return Object.fromEntries(Object.entries(metadata ?? {}).map(([key, value]) => [key, String(value)]));
}
