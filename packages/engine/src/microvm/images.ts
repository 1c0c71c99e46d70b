import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { command } from "../command.ts";
import type { Pool } from "../disk/pool.ts";
import type { Guests } from "../guest.ts";
import type { RootfsStore } from "../rootfs/rootfs.ts";

/** A root file system of a gigabyte takes some seconds, on a busy host some more. */
const MAKE_WITHIN_MS = 10 * 60_000;

export type ImageSources = { pool: Pool; rootfs: RootfsStore; guests: Guests };

/**
 * Read-only images (erofs) of what gVisor takes as directories: root file systems and the supervisor's bundles. Each is made
 * once, at its first use, named for what it was made from, which never changes. They are not packed: they are read
 * through the host's page cache, which all machines share, and a guest spends nothing on unpacking.
 */
export class Images {
	readonly #dir: string;
	readonly #sources: ImageSources;
	readonly #making = new Map<string, Promise<string>>();

	constructor(sources: ImageSources) {
		this.#dir = join(sources.pool.dir, "images");
		this.#sources = sources;
	}

	/** The image of a root file system, for the drive `root`. */
	rootfs(id: string): Promise<string> {
		return this.#image(`rootfs-${id}`, this.#sources.rootfs.path(id));
	}

	/** The image of a supervisor's bundle, for the drive `guest`. */
	guest(id: string): Promise<string> {
		return this.#image(`guest-${id}`, this.#sources.guests.path(id));
	}

	/** Who asks while it is being made waits for the same. */
	#image(name: string, source: string): Promise<string> {
		const path = join(this.#dir, `${name}.erofs`);
		if (existsSync(path)) return Promise.resolve(path);
		const known = this.#making.get(name);
		if (known) return known;
		const making = this.#make(path, source).finally(() => this.#making.delete(name));
		this.#making.set(name, making);
		return making;
	}

	async #make(path: string, source: string): Promise<string> {
		await mkdir(this.#dir, { recursive: true, mode: 0o700 });
		await makeImage(source, `${path}.partial`);
		await rename(`${path}.partial`, path);
		await this.#sources.pool.sync();
		return path;
	}
}

/** Writes an erofs image of a directory, its owners, modes and extended attributes included, to `path`. */
export async function makeImage(source: string, path: string): Promise<void> {
	await rm(path, { force: true });
	await command("mkfs.erofs", ["--quiet", path, source], { timeoutMs: MAKE_WITHIN_MS });
}
