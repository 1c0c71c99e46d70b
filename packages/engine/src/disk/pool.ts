import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, mkdir, open, readdir, readFile, rename, rm, statfs } from "node:fs/promises";
import { basename, join } from "node:path";
import { DormiceError, POOL_FOLDERS } from "@dormice/protocol";
import { command } from "../command.ts";
import type { Native } from "../native.ts";
import { writeWhole } from "../whole-file.ts";

export type PoolOptions = { data: string; ownMount: string | undefined; sizeGiB: number; native: Native };

/** What storing leaves of the pool to what runs. */
export const KEPT_FREE_BYTES = 256 << 20;

const BTRFS = "/sys/fs/btrfs";

/** The btrfs file system that holds root file systems, disks and generations. Snapshots in it cost the same at any size. */
export class Pool {
	readonly dir: string;
	/** Names this pool for ever, so that a server notices when its database and its pool do not belong together. */
	readonly id: string;
	readonly #mountedHere: boolean;
	readonly #native: Native;
	/** Where the kernel tells what of the data's room is taken. */
	#allocation: string | undefined;

	private constructor(dir: string, id: string, options: PoolOptions) {
		this.dir = dir;
		this.id = id;
		this.#mountedHere = options.ownMount === undefined;
		this.#native = options.native;
	}

	/** Mounts the pool, making its image the first time. */
	static async open(options: PoolOptions): Promise<Pool> {
		const dir = options.ownMount ?? join(options.data, "pool");
		if (options.ownMount === undefined) {
			await mkdir(dir, { recursive: true, mode: 0o700 });
			if (!(await isBtrfs(dir))) await mountImage(join(options.data, "pool.img"), dir, options.sizeGiB);
		} else if (!(await isBtrfs(dir))) {
			throw new DormiceError(
				"not_set_up",
				`DORMICE_POOL=${dir} is not a mounted btrfs. Mount one there, or unset DORMICE_POOL.`,
			);
		}
		for (const name of POOL_FOLDERS) await mkdir(join(dir, name), { recursive: true, mode: 0o700 });
		return new Pool(dir, await identify(join(dir, "id")), options);
	}

	/** A copy of a subvolume, at once: the two share their blocks until one changes. */
	async snapshot(from: string, to: string, options: { readOnly: boolean }): Promise<void> {
		await this.#native.call("snapshot", from, to, ...(options.readOnly ? ["ro"] : []));
	}

	async createSubvolume(path: string): Promise<void> {
		await command("btrfs", ["-q", "subvolume", "create", path]);
	}

	async seal(path: string): Promise<void> {
		await command("btrfs", ["property", "set", "-ts", path, "ro", "true"]);
	}

	/** Removes a subvolume; the space comes back in the background. Nothing to do is fine. */
	async deleteSubvolume(path: string): Promise<void> {
		await this.#native.call("delete", path);
	}

	/** Returns when all that was written to the pool so far would survive a power cut. */
	async sync(): Promise<void> {
		await this.#native.call("sync", this.dir);
	}

	/** Has the kernel begin to write a file out, so that a sync finds less to do. */
	async beginWriting(path: string): Promise<void> {
		await this.#native.call("begin", path);
	}

	/** Where a file has no data and reads as zeroes: runs of a MiB or more, in bytes, ascending. */
	async holes(path: string): Promise<{ from: number; to: number }[]> {
		const printed = await this.#native.call("holes", path);
		return printed
			.slice(0, printed.lastIndexOf("\n") + 1)
			.split("\n")
			.filter(Boolean)
			.map((line) => {
				const [from = 0, to = 0] = line.split(" ").map(Number);
				return { from, to };
			});
	}

	async space(): Promise<{ totalBytes: number; freeBytes: number }> {
		const { bsize, blocks, bavail } = await statfs(this.dir);
		return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
	}

	/** Of what counts as free: what was written and has no place yet, as btrfs gives places only when it writes out. */
	async promisedBytes(): Promise<number> {
		this.#allocation ??= await allocationOf(this.dir);
		return this.#allocation === undefined ? 0 : Number(await readFile(join(this.#allocation, "bytes_may_use"), "utf8"));
	}

	/**
	 * Throws `disk_full` unless so much can be written and running sandboxes still find room for their own writes: a file
	 * system of theirs that cannot write its journal is read-only until they sleep.
	 */
	async requireRoom(bytes: number): Promise<void> {
		const { freeBytes } = await this.space();
		if (freeBytes >= bytes + KEPT_FREE_BYTES) return;
		throw new DormiceError(
			"disk_full",
			`The pool has ${mib(freeBytes)} MiB left, and this takes up to ${mib(bytes)} MiB of it; ${mib(KEPT_FREE_BYTES)} MiB are ` +
				"for what sandboxes write. Free some, or enlarge DORMICE_POOL_GIB.",
		);
	}

	async close(): Promise<void> {
		if (this.#mountedHere) await command("umount", [this.dir]);
	}
}

async function identify(path: string): Promise<string> {
	if (!existsSync(path)) await writeWhole(path, randomUUID());
	return (await readFile(path, "utf8")).trim();
}

async function isBtrfs(dir: string): Promise<boolean> {
	const mounts = await readFile("/proc/mounts", "utf8");
	return mounts.split("\n").some((line) => line.split(" ")[1] === dir && line.split(" ")[2] === "btrfs");
}

async function allocationOf(dir: string): Promise<string | undefined> {
	const mounts = (await readFile("/proc/mounts", "utf8")).split("\n").map((line) => line.split(" "));
	const device = basename(mounts.find(([, mount, type]) => mount === dir && type === "btrfs")?.[0] ?? "");
	const ids = await readdir(BTRFS);
	const id = ids.find((one) => device !== "" && existsSync(join(BTRFS, one, "devices", device)));
	return id === undefined ? undefined : join(BTRFS, id, "allocation/data");
}

async function mountImage(image: string, dir: string, sizeGiB: number): Promise<void> {
	try {
		await using _ = await open(image, "r");
	} catch {
		const partial = `${image}.partial`;
		await rm(partial, { force: true });
		{
			// Whoever could read it could read every sandbox.
			await using file = await open(partial, "wx", 0o600);
			await file.truncate(sizeGiB * 2 ** 30);
		}
		await command("mkfs.btrfs", ["-q", "-m", "single", "-L", "dormice", partial]);
		await rename(partial, image);
	}
	// It grows when the configuration says so, and never shrinks.
	await command("truncate", ["-s", `>${sizeGiB}G`, image]);
	await command("mount", ["-t", "btrfs", "-o", "loop,noatime,discard=async", image, dir]);
	await chmod(dir, 0o700);
	await command("btrfs", ["filesystem", "resize", "max", dir]);
}

function mib(bytes: number): number {
	return Math.round(bytes / 2 ** 20);
}
