import { appendFile, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { isMachineId } from "../machines/machine.ts";
import type { SandboxRecord } from "./record.ts";

/** Of what a sandbox printed before, when it goes on in another machine. A reader asks for the last MiB. */
const CARRIED_BYTES = 1 << 20;

type Owner = Pick<SandboxRecord, "id" | "machineId">;

/**
 * The guests' logs, one file a sandbox, readable by the server. They outlive sleep. What a machine prints passes a process
 * that keeps the file short (`native/log.c`), so nothing here has to look after it.
 */
export class Logs {
	readonly #dir: string;

	constructor(data: string) {
		this.#dir = join(data, "logs", "sandboxes");
	}

	/** `living`: those that run. What nothing was written to, and what was kept for machines that are gone, is removed. */
	async open(living: readonly Owner[]): Promise<void> {
		await mkdir(this.#dir, { recursive: true, mode: 0o750 });
		const owners = new Set(living.flatMap(({ id, machineId }) => [id, machineId]));
		for (const name of await readdir(this.#dir)) {
			const owner = name.replace(/\.log$/, "");
			if (owners.has(owner)) continue;
			if (isMachineId(owner)) await this.delete(owner);
			else await this.deleteIfEmpty(owner);
		}
	}

	path(id: string): string {
		return join(this.#dir, `${id}.log`);
	}

	/** Makes the log of a machine the log of the sandbox that has just got it, with the end of what that has already. */
	async adopt(machineId: string, id: string): Promise<void> {
		const before = await lastOf(this.path(id));
		if (before.length > 0) await appendFile(this.path(machineId), before);
		await rename(this.path(machineId), this.path(id));
	}

	async delete(id: string): Promise<void> {
		await rm(this.path(id), { force: true });
	}

	async deleteIfEmpty(id: string): Promise<void> {
		const found = await stat(this.path(id)).catch(noneIfMissing);
		if (found?.size === 0) await this.delete(id);
	}
}

/** Whole lines from the end of a file; none when there is no file. */
async function lastOf(path: string): Promise<Buffer> {
	await using file = await open(path, "r").catch(noneIfMissing);
	if (file === undefined) return Buffer.alloc(0);
	const { size } = await file.stat();
	const length = Math.min(size, CARRIED_BYTES);
	const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length);
	const last = buffer.subarray(0, bytesRead);
	return length < size ? last.subarray(last.indexOf("\n") + 1) : last;
}

function noneIfMissing(error: NodeJS.ErrnoException): undefined {
	if (error.code !== "ENOENT") throw error;
}
