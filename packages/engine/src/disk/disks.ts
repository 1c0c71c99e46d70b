import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, stat, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DormiceError } from "@dormice/protocol";
import { command } from "../command.ts";
import { log } from "../log.ts";
import type { Native } from "../native.ts";
import type { Pool } from "./pool.ts";

const IMAGE = "disk.img";
const ROOTFS = "rootfs";
const MAX_CORRECTIONS = 1_000;

/**
 * The writable disks. Each is a sparse ext4 image in a subvolume of its own: a full one is ENOSPC inside and nothing
 * outside, `df` inside tells the truth, a million small files are one file to the pool, and a microVM can attach it as it is.
 * (btrfs quotas were tried: they answer EDQUOT, and a full subvolume refuses to delete.)
 */
export class Disks {
	readonly #pool: Pool;
	readonly #native: Native;

	constructor(pool: Pool, native: Native) {
		this.#pool = pool;
		this.#native = native;
	}

	get #trash(): string {
		return join(this.#pool.dir, "trash");
	}

	path(id: string): string {
		return join(this.#pool.dir, "sandboxes", id);
	}

	/** The image that the disk is. */
	image(id: string): string {
		return join(this.path(id), IMAGE);
	}

	exists(id: string): boolean {
		return existsSync(this.image(id));
	}

	list(): Promise<string[]> {
		return readdir(join(this.#pool.dir, "sandboxes"));
	}

	/** The root file system that this disk lies over; a disk is worthless without it, so it goes wherever the disk goes. */
	async rootfsOf(id: string): Promise<string> {
		try {
			return (await readFile(join(this.path(id), ROOTFS), "utf8")).trim();
		} catch (error) {
			throw new DormiceError("sandbox_not_found", `Sandbox ${id} has no disk on this host.`, { cause: error });
		}
	}

	/** A fresh, empty disk. Formatted once for each size, then copied. */
	async createBlank(id: string, rootfsId: string, sizeMiB: number): Promise<void> {
		const blank = join(this.#pool.dir, "blank", String(sizeMiB));
		if (!existsSync(blank)) {
			const partial = `${blank}.partial`;
			await this.#pool.deleteSubvolume(partial);
			await this.#pool.createSubvolume(partial);
			await command("truncate", ["-s", `${sizeMiB}M`, join(partial, IMAGE)]);
			// Inode tables are left to be written when used: zeroes need not be stored.
			const options = "lazy_itable_init=1,lazy_journal_init=1,nodiscard";
			await command("mkfs.ext4", ["-q", "-F", "-m", "0", "-J", "size=32", "-E", options, join(partial, IMAGE)]);
			await rename(partial, blank);
		}
		await this.#pool.snapshot(blank, this.path(id), { readOnly: false });
		await writeFile(join(this.path(id), ROOTFS), `${rootfsId}\n`);
	}

	/** A copy of a stored disk. */
	async createFrom(id: string, stored: string): Promise<void> {
		await this.#pool.snapshot(stored, this.path(id), { readOnly: false });
	}

	/**
	 * Stores the disk as it is now, read-only, at `to`. What writes to it must stand still. One whose file system gave up
	 * because the pool was full has what was written before; memory that goes with it knows of more: `not_storable`.
	 * `mountPoint`: where the host has it mounted, if it has.
	 */
	async store(
		id: string,
		mountPoint: string | undefined,
		to: string,
		{ withMemory }: { withMemory: boolean },
	): Promise<void> {
		try {
			if (mountPoint !== undefined) await this.#native.call("sync", mountPoint);
		} catch (error) {
			if (!isReadOnly(error)) throw error;
			if (withMemory) throw new DormiceError("not_storable", GAVE_UP, { cause: error });
		}
		await this.#pool.snapshot(this.path(id), to, { readOnly: true });
	}

	/**
	 * Mounts the disk and, over it, the root file system `lower` made writable. One that was hurt is mended first, by the user
	 * `uid`: resolves to what was wrong, if anything. Throws `disk_damaged` when it cannot be mended or written.
	 */
	async mount(id: string, uid: number, at: { disk: string; root: string; lower: string }): Promise<string> {
		if (!this.exists(id)) throw new DormiceError("sandbox_not_found", `Sandbox ${id} has no disk on this host.`);
		for (const dir of [at.disk, at.root]) await mkdir(dir, { recursive: true, mode: 0o700 });
		const mount = () => this.#native.call("mount", this.image(id), at.disk, at.root, at.lower);
		try {
			await mount();
			return "";
		} catch (error) {
			if (!isHurt(error)) throw error;
			// What was mounted shows only now that it cannot be written.
			await this.unmount(at);
			const repaired = await this.#repair(id, uid);
			await mount().catch((again: unknown) => {
				throw isHurt(again) ? damaged(id, again) : again;
			});
			return repaired;
		}
	}

	/** Mends a disk that nobody has mounted, as `mount` does. */
	async mend(id: string, uid: number): Promise<string> {
		try {
			await this.#native.call("check", this.image(id));
			return "";
		} catch (error) {
			if (!isHurt(error)) throw error;
			return await this.#repair(id, uid);
		}
	}

	async #repair(id: string, uid: number): Promise<string> {
		try {
			const said = await this.#native.call("repair", this.image(id), String(uid));
			log.warn({ sandbox: id, said }, "a disk whose file system had errors was repaired");
			return corrections(said);
		} catch (error) {
			throw isHurt(error) ? damaged(id, error) : error;
		}
	}

	/** Undoes `mount`. Nothing to do is fine. */
	async unmount(at: { disk: string; root: string }): Promise<void> {
		await this.#native.call("unmount", at.root, at.disk);
	}

	/**
	 * Takes the disk away from its sandbox, at once and for good, mounted or not: the id is free for another disk.
	 * Resolves to the way to remove it, once it is unmounted.
	 */
	async discard(id: string): Promise<() => Promise<void>> {
		if (!existsSync(this.path(id))) return async () => undefined;
		const discarded = join(this.#trash, `${id}-${randomUUID()}`);
		await rename(this.path(id), discarded);
		return () => this.#pool.deleteSubvolume(discarded);
	}

	/** Removes every discarded disk. Only right while none of them is mounted. */
	async emptyTrash(): Promise<void> {
		for (const name of await readdir(this.#trash)) await this.#pool.deleteSubvolume(join(this.#trash, name));
	}

	/** Of one that the host has not mounted, what its image takes is all that is known. */
	async usage(id: string, mountPoint: string | undefined): Promise<{ usedBytes: number; totalBytes: number }> {
		if (mountPoint === undefined) {
			const image = await stat(this.image(id));
			return { usedBytes: image.blocks * 512, totalBytes: image.size };
		}
		const { bsize, blocks, bfree } = await statfs(mountPoint);
		return { usedBytes: (blocks - bfree) * bsize, totalBytes: blocks * bsize };
	}
}

const GAVE_UP =
	"Its disk has been read-only since it could not be written for want of room in the pool. " +
	"Pause without memory: it boots from what was written.";

/** Of what e2fsck said: what it corrected, without its headings, advice and totals. */
export function corrections(said: string): string {
	const lines = said.split("\n").map((line) => line.replace(PREFIX, "").trim());
	const told = lines.filter((line) => line !== "" && !NO_CORRECTION.test(line));
	return [...new Set(told)].join(" ").slice(0, MAX_CORRECTIONS) || "Its error flag was cleared.";
}

/** While it is careful it begins every line with a name. */
const PREFIX = /^[\w./-]+: /;
const NO_CORRECTION =
	/^(e2fsck \d|Pass \d|\*{5}|\d+\/\d+ files|UNEXPECTED |\(i\.e\., |contains a file system|.*: \d+\/\d+ files)/;

function damaged(id: string, cause: unknown): DormiceError {
	return new DormiceError("disk_damaged", `The disk of sandbox ${id} is damaged, and could not be repaired.`, {
		cause,
	});
}

/** Of the kernel and of our helper: the file system has errors. */
function isHurt(error: unknown): boolean {
	return error instanceof Error && /Structure needs cleaning|Bad message/.test(error.message);
}

function isReadOnly(error: unknown): boolean {
	return error instanceof Error && error.message.includes("Read-only file system");
}
