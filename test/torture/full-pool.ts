import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const MIB = 1 << 20;
/** Less than an engine is held at a fault point. */
const NAMES_WITHIN_MS = 10_000;

/**
 * A pool without room: files on it take all that was left, and go when this is disposed of. Its blocks are reserved and
 * never written, so that it takes a moment at any size.
 */
export class FullPool implements Disposable {
	readonly #pool: string;
	readonly #dir: string;
	/** Not even names and small files find room. */
	hasNoMetadata = false;

	/** `leaveBytes`: what is still to be had. `metadata`: of names and small files as many as can be made in a while. */
	constructor(data: string, { leaveBytes = 0, metadata = false }: { leaveBytes?: number; metadata?: boolean } = {}) {
		this.#pool = join(data, "pool");
		this.#dir = join(this.#pool, "filler");
		this[Symbol.dispose]();
		mkdirSync(this.#dir);
		try {
			this.#reserve(leaveBytes);
			if (metadata) this.#fillWithNames();
		} catch (error) {
			this[Symbol.dispose]();
			throw error;
		}
	}

	[Symbol.dispose](): void {
		rmSync(this.#dir, { recursive: true, force: true });
		// What was freed is to be had once it is committed.
		execFileSync("sync", ["-f", this.#pool]);
	}

	/** The largest pieces that are to be had, until nothing is left but `leaveBytes`. */
	#reserve(leaveBytes: number): void {
		let n = 0;
		for (let bytes = this.#freeBytes() - leaveBytes; bytes >= 4096; ) {
			bytes = Math.min(bytes, Math.max(0, this.#freeBytes() - leaveBytes));
			try {
				execFileSync("fallocate", ["-l", String(bytes), join(this.#dir, `data-${n++}`)], { stdio: "ignore" });
			} catch {
				rmSync(join(this.#dir, `data-${n - 1}`), { force: true });
				bytes = bytes > MIB ? Math.floor(bytes / 2) : bytes - 65_536;
			}
		}
	}

	/** Files so small that btrfs keeps them among its metadata. */
	#fillWithNames(): void {
		const content = Buffer.alloc(2_000, 1);
		try {
			const deadline = Date.now() + NAMES_WITHIN_MS;
			for (let n = 0; Date.now() < deadline; n++) writeFileSync(join(this.#dir, `name-${n}`), content);
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
			this.hasNoMetadata = true;
		}
	}

	#freeBytes(): number {
		const { bsize, bavail } = statfsSync(this.#pool);
		return bsize * bavail;
	}
}
