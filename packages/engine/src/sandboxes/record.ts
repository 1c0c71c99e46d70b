import { readFileSync } from "node:fs";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Limits } from "../limits.ts";
import { writeWhole } from "../whole-file.ts";

/** What the engine wrote down about a sandbox that it started on this host; gone with a reboot, as the sandbox is. */
export type SandboxRecord = {
	readonly id: string;
	/** Names its processes, mounts, cgroups and driver's files: a new one with each start. */
	readonly machineId: string;
	readonly isolation: "gvisor" | "microvm";
	/** The driver's version that runs it; missing in records of version 0.1.0. */
	readonly engineVersion?: string;
	readonly limits: Limits;
	readonly rootfsId: string;
	readonly guestId: string;
	readonly bootId: string;
	/** The generation whose memory it went on from; missing where it was booted. */
	readonly memoryOf?: string;
	readonly slot: number;
	/** What was wrong with its disk before this start, and was repaired; missing or empty: nothing. */
	repaired?: string;
	/**
	 * starting: not answered yet; pausing: a crash may have come before it stood still, or after it went on; paused: stands
	 * still after a checkpoint. Whether it is frozen its cgroup knows.
	 */
	phase: "starting" | "running" | "pausing" | "paused";
	pid: number;
};

/** The records, one file a sandbox below the run directory. */
export class Records {
	readonly #dir: string;

	constructor(run: string) {
		this.#dir = join(run, "sandboxes");
	}

	async open(): Promise<void> {
		await mkdir(this.#dir, { recursive: true, mode: 0o700 });
	}

	async write(record: SandboxRecord): Promise<void> {
		await writeWhole(this.#file(record.id), JSON.stringify(record));
	}

	async read(id: string): Promise<SandboxRecord | undefined> {
		try {
			return parse(await readFile(this.#file(id), "utf8"));
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
			throw error;
		}
	}

	/** As `read`, without waiting: for a path on which somebody's request waits. */
	readNow(id: string): SandboxRecord | undefined {
		try {
			return parse(readFileSync(this.#file(id), "utf8"));
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
			throw error;
		}
	}

	async list(): Promise<SandboxRecord[]> {
		const records: SandboxRecord[] = [];
		for (const name of await readdir(this.#dir)) {
			const id = /^(\w+)\.json$/.exec(name)?.[1];
			const record = id === undefined ? undefined : await this.read(id);
			if (record) records.push(record);
		}
		return records;
	}

	async delete(id: string): Promise<void> {
		await rm(this.#file(id), { force: true });
	}

	#file(id: string): string {
		return join(this.#dir, `${id}.json`);
	}
}

function parse(text: string): SandboxRecord {
	const record = JSON.parse(text) as Omit<SandboxRecord, "phase"> & { phase: SandboxRecord["phase"] | "frozen" };
	// So version 0.1.0 wrote it down.
	return { ...record, phase: record.phase === "frozen" ? "running" : record.phase };
}
