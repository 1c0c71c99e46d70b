import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { mkdir, readdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { DormiceError } from "@dormice/protocol";
import type { Limits } from "../limits.ts";
import { bestEffort } from "../log.ts";
import {
	CONTROLLERS,
	type Controller,
	findHierarchy,
	type Hierarchy,
	type LimitFile,
	limitFiles,
	memoryLimit,
} from "./hierarchy.ts";

type Usage = { cpuUs: number; memoryBytes: number; cacheBytes: number; dirtyBytes: number; tasks: number };

/** The cgroups of this platform: one parent, a child for each sandbox, in v1 once in each controller. */
export class Cgroups {
	readonly hierarchy: Hierarchy;
	readonly #parent: string;

	private constructor(hierarchy: Hierarchy, parent: string) {
		this.hierarchy = hierarchy;
		this.#parent = parent;
	}

	static async open(instance: string): Promise<Cgroups> {
		const hierarchy = await findHierarchy();
		if (!hierarchy) {
			throw new DormiceError(
				"not_set_up",
				"No cgroup hierarchy has the memory, cpu and pids controllers. Mount cgroup2 with them.",
			);
		}
		const cgroups = new Cgroups(hierarchy, `dormice-${instance}`);
		for (const dir of cgroups.#parents()) await mkdir(dir, { recursive: true });
		if (hierarchy.version === "v2") {
			// A controller works below a directory only when each level above hands it down.
			for (const dir of [hierarchy.mount, join(hierarchy.mount, cgroups.#parent)]) {
				await writeFile(join(dir, "cgroup.subtree_control"), "+memory +cpu +pids");
			}
		}
		return cgroups;
	}

	/** Makes the sandbox's cgroup with its limits. */
	async create(id: string, limits: Limits): Promise<void> {
		for (const dir of this.#dirs(id)) await mkdir(dir, { recursive: true });
		await this.#limit(id, limitFiles(this.hierarchy.version, limits));
	}

	/** Room for its kernel to store it: killed for want of some, it would take all that is in memory with it. */
	async makeRoom(id: string, limits: Limits): Promise<void> {
		await this.#limit(id, memoryLimit(this.hierarchy.version, limits, true).toReversed());
	}

	/** Takes that back, unless the kernel uses it still: v2 would kill it for that. The next time does it then. */
	async takeRoom(id: string, limits: Limits): Promise<void> {
		const files = memoryLimit(this.hierarchy.version, limits);
		const { memoryBytes } = await this.usage(id);
		if (memoryBytes < Number(files[0]?.value)) await this.#limit(id, files);
	}

	async #limit(id: string, files: readonly LimitFile[]): Promise<void> {
		for (const { controller, file, value, optional } of files) {
			const path = join(this.#dir(controller, id), file);
			if (!optional || existsSync(path)) await writeFile(path, value);
		}
	}

	/** Relative to each controller's mount. */
	path(id: string): string {
		return `/${this.#parent}/${id}`;
	}

	/**
	 * The files that a process of one thread writes "0" into to be in the sandbox's cgroups. For a thread that moves itself
	 * the kernel waits for nobody; for a process it does, 15 ms, and v2 knows no other way.
	 */
	doors(id: string): string[] {
		const door = this.hierarchy.version === "v1" ? "tasks" : "cgroup.procs";
		return this.#dirs(id).map((dir) => join(dir, door));
	}

	/** Every process of the sandbox stops where it is; its memory stays. Returns when all have. */
	async freeze(id: string): Promise<void> {
		await this.#setFrozen(id, true);
	}

	async thaw(id: string): Promise<void> {
		await this.#setFrozen(id, false);
	}

	/** Thaws without waiting; false when that is not done at once. */
	thawNow(id: string): boolean {
		const { file, thawed } = this.#freezer(id);
		writeFileSync(file, thawed);
		return !this.isFrozenNow(id);
	}

	/** Whether its processes stand still, or some of them. */
	isFrozenNow(id: string): boolean {
		const { state, done } = this.#freezer(id);
		try {
			return !readFileSync(state, "utf8").includes(done.thawed);
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
			throw error;
		}
	}

	/** Whether the process is in the sandbox's cgroup. */
	hasNow(id: string, pid: number): boolean {
		try {
			return readFileSync(join(this.#dir("pids", id), "cgroup.procs"), "utf8")
				.split("\n")
				.includes(String(pid));
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
			throw error;
		}
	}

	async pids(id: string): Promise<number[]> {
		const dir = this.#dir("pids", id);
		try {
			return (await readFile(join(dir, "cgroup.procs"), "utf8")).split("\n").filter(Boolean).map(Number);
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
			throw error;
		}
	}

	/** Kills every process of the sandbox and removes its cgroups. Nothing to do is fine. */
	async destroy(id: string, deadlineMs = 10_000): Promise<void> {
		const deadline = Date.now() + deadlineMs;
		for (let waitMs = 1; ; waitMs = Math.min(waitMs * 2, 50)) {
			const pids = await this.pids(id);
			if (pids.length === 0) break;
			for (const pid of pids) kill(pid);
			await bestEffort("thaw to let the kill through", this.thaw(id));
			if (Date.now() > deadline)
				throw new DormiceError("deadline_exceeded", `Processes of ${id} do not end: ${pids.join(", ")}`);
			await sleep(waitMs);
		}
		for (const dir of [...this.#dirs(id), ...this.#otherDirs(id)]) await removeWhenEmpty(dir, deadline);
	}

	/** Ids that have a cgroup. */
	async list(): Promise<string[]> {
		const entries = await readdir(this.#parents()[0] ?? "", { withFileTypes: true });
		return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
	}

	/** Removes the parent; right only when no sandbox is left. */
	async close(): Promise<void> {
		for (const dir of [...this.#parents(), ...this.#otherDirs("")]) await removeWhenEmpty(dir, Date.now() + 1_000);
	}

	/** CPU time and memory in use, of the guest and its kernel together; of the cache, what is still to be written. */
	async usage(id: string): Promise<Usage> {
		const read = async (controller: Controller, file: string) =>
			readFile(join(this.#dir(controller, id), file), "utf8");
		const tasks = Number(await read("pids", "pids.current"));
		const stat = await read("memory", "memory.stat");
		const ofStat = (name: string) => Number(new RegExp(`^${name} (\\d+)`, "m").exec(stat)?.[1] ?? 0);
		if (this.hierarchy.version === "v2") {
			const cpu = /usage_usec (\d+)/.exec(await read("cpu", "cpu.stat"))?.[1];
			const memoryBytes = Number(await read("memory", "memory.current"));
			const [cacheBytes, dirtyBytes] = [ofStat("file"), ofStat("file_dirty")];
			return { cpuUs: Number(cpu ?? 0), memoryBytes, cacheBytes, dirtyBytes, tasks };
		}
		const memoryBytes = Number(await read("memory", "memory.usage_in_bytes"));
		const cpuNs = Number(await read("cpuacct", "cpuacct.usage"));
		const [cacheBytes, dirtyBytes] = [ofStat("total_cache"), ofStat("total_dirty")];
		return { cpuUs: Math.round(cpuNs / 1000), memoryBytes, cacheBytes, dirtyBytes, tasks };
	}

	async #setFrozen(id: string, frozen: boolean): Promise<void> {
		const { file, state, ...freezer } = this.#freezer(id);
		const [value, done] = frozen ? [freezer.frozen, freezer.done.frozen] : [freezer.thawed, freezer.done.thawed];
		await writeFile(file, value);
		const deadline = Date.now() + 5_000;
		while (!(await readFile(state, "utf8")).includes(done)) {
			if (Date.now() > deadline) throw new DormiceError("deadline_exceeded", `${id} did not reach ${value} in 5 s.`);
			await sleep(1);
		}
	}

	/** What to write where to freeze and thaw a sandbox, and what the file of its state says when that is done. */
	#freezer(id: string) {
		const dir = this.#dir("freezer", id);
		if (this.hierarchy.version === "v2") {
			const done = { frozen: "frozen 1", thawed: "frozen 0" };
			return { file: join(dir, "cgroup.freeze"), frozen: "1", thawed: "0", state: join(dir, "cgroup.events"), done };
		}
		const file = join(dir, "freezer.state");
		return { file, frozen: "FROZEN", thawed: "THAWED", state: file, done: { frozen: "FROZEN", thawed: "THAWED" } };
	}

	#dir(controller: Controller, id: string): string {
		const { hierarchy } = this;
		return join(hierarchy.version === "v2" ? hierarchy.mount : hierarchy.mounts[controller], this.#parent, id);
	}

	#otherDirs(id: string): string[] {
		return this.hierarchy.version === "v1" ? this.hierarchy.others.map((mount) => join(mount, this.#parent, id)) : [];
	}

	#parents(): string[] {
		return this.#dirs("");
	}

	#dirs(id: string): string[] {
		return [...new Set(CONTROLLERS.map((controller) => this.#dir(controller, id)))];
	}
}

function kill(pid: number): void {
	try {
		process.kill(pid, "SIGKILL");
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
	}
}

async function removeWhenEmpty(dir: string, deadline: number): Promise<void> {
	for (;;) {
		try {
			return await rmdir(dir);
		} catch (error) {
			const { code } = error as NodeJS.ErrnoException;
			if (code === "ENOENT") return;
			// Killed processes leave a moment after the kill.
			if (code !== "EBUSY" || Date.now() > deadline) throw error;
			await sleep(2);
		}
	}
}
