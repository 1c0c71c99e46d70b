import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Limits } from "../limits.ts";
import { writeWhole } from "../whole-file.ts";

/** What the engine wrote down about a sandbox that it started on this host; gone with a reboot, as the sandbox is. */
export type SandboxRecord = {
	readonly id: string;
	readonly isolation: "gvisor" | "microvm";
	readonly limits: Limits;
	readonly rootfsId: string;
	readonly guestId: string;
	readonly bootId: string;
	readonly slot: number;
	/** starting: not answered yet; paused: stands still after a checkpoint; frozen: by the cgroup freezer. */
	phase: "starting" | "running" | "paused" | "frozen";
	pid: number;
};

/** The records, one directory a sandbox below the run directory, which also holds its mounts and its driver's files. */
export class Records {
	readonly #dir: string;

	constructor(run: string) {
		this.#dir = join(run, "sandboxes");
	}

	dir(id: string): string {
		return join(this.#dir, id);
	}

	async write(record: SandboxRecord): Promise<void> {
		await mkdir(this.dir(record.id), { recursive: true, mode: 0o700 });
		await writeWhole(this.#file(record.id), JSON.stringify(record));
	}

	async read(id: string): Promise<SandboxRecord | undefined> {
		try {
			return JSON.parse(await readFile(this.#file(id), "utf8")) as SandboxRecord;
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
			throw error;
		}
	}

	/** Ids that have a directory, with a record or without. */
	async list(): Promise<string[]> {
		await mkdir(this.#dir, { recursive: true, mode: 0o700 });
		return readdir(this.#dir);
	}

	async delete(id: string): Promise<void> {
		await rm(this.dir(id), { recursive: true, force: true });
	}

	#file(id: string): string {
		return join(this.dir(id), "record.json");
	}
}
