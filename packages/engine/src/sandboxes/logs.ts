import { appendFile, mkdir, readdir, readFile, rename, rm, stat, truncate } from "node:fs/promises";
import { join } from "node:path";

/** What the guest's PID 1 prints goes to a file; this much of it is kept before it starts again from nothing. */
const MAX_BYTES = 8 << 20;

/** The guests' logs, one file a sandbox, readable by the server. They outlive sleep. */
export class Logs {
	readonly #dir: string;

	constructor(data: string) {
		this.#dir = join(data, "logs", "sandboxes");
	}

	async open(): Promise<void> {
		await mkdir(this.#dir, { recursive: true, mode: 0o755 });
	}

	path(id: string): string {
		return join(this.#dir, `${id}.log`);
	}

	/** Makes the log of a machine the log of the sandbox that has just got it, behind what that has already. */
	async adopt(machineId: string, id: string): Promise<void> {
		try {
			await appendFile(this.path(machineId), await readFile(this.path(id)));
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
		}
		await rename(this.path(machineId), this.path(id));
	}

	async delete(id: string): Promise<void> {
		await rm(this.path(id), { force: true });
	}

	/** A guest's root can print without end: files that grew too long are emptied. They are open for appending, so that is safe. */
	async trim(): Promise<void> {
		for (const name of await readdir(this.#dir)) {
			const path = join(this.#dir, name);
			if ((await stat(path)).size > MAX_BYTES) await truncate(path, 0);
		}
	}
}
