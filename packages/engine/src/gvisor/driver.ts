import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { DormiceError, Steps } from "@dormice/protocol";
import { command } from "../command.ts";
import type { Driver, Machine, Process, Written } from "../driver.ts";
import { lastWords } from "../last-words.ts";
import { log } from "../log.ts";
import type { Native } from "../native.ts";
import { writeWhole } from "../whole-file.ts";
import { call, callWith, readState } from "./control.ts";
import { networkLinks } from "./network-links.ts";
import { readProcesses } from "./processes.ts";
import { BINDS, ociSpec } from "./spec.ts";

/** Releases whose control calls with descriptors are known here: a sandbox can be filled and stored without a `runsc`. */
const DIRECT_RELEASES = [/^0\.0~20240729/, /^release-20240729/];

const SAVE = { metadata: { compression: "none" }, MemoryFileSaveOpts: { ExcludeCommittedZeroPages: true } };
const LAST_WORDS = 20_000;
const CAGED_WITHIN_MS = 10_000;
const IMAGE_FILES = ["checkpoint.img", "pages_meta.img", "pages.img"];

/** gVisor: an own kernel in user space, on any Linux host. */
export class GvisorDriver implements Driver {
	readonly isolation = "gvisor";
	readonly disk = "mounted";
	readonly overheadMiB = 0;
	readonly version: string;
	readonly prestart: Driver["prestart"];
	readonly fill: Driver["fill"];
	readonly #runsc: string;
	readonly #native: Native;
	readonly #direct: boolean;
	readonly #flags: readonly string[];

	/** `flags`: those that `version` was computed with. */
	constructor({ runsc, version, flags }: { runsc: string; version: string; flags: readonly string[] }, native: Native) {
		this.#runsc = runsc;
		this.#native = native;
		this.#flags = flags;
		this.version = version;
		this.#direct = DIRECT_RELEASES.some((release) => release.test(version));
		if (this.#direct) {
			this.prestart = (machine) => this.#prestart(machine);
			this.fill = (machine, memoryDir, mounted) => this.#fill(machine, memoryDir, mounted);
		}
	}

	async boot(machine: Machine): Promise<number> {
		await writeBundle(machine, machine.root);
		await this.#start(machine, ["run", "--detach", "--bundle", machine.dir, machine.id]);
		return (await readState(runscRoot(machine), machine.id)).pid;
	}

	async restore(machine: Machine, memoryDir: string, mounted: Promise<unknown>): Promise<number> {
		await mounted;
		await writeBundle(machine, machine.root);
		await this.#start(machine, ["restore", "--detach", "--bundle", machine.dir, "--image-path", memoryDir, machine.id]);
		return (await readState(runscRoot(machine), machine.id)).pid;
	}

	async processes(machine: Machine): Promise<Process[]> {
		const { controlSocket } = await readState(runscRoot(machine), machine.id);
		return readProcesses(await call(controlSocket, "containerManager.Processes", { arg: machine.id }));
	}

	async pause(machine: Machine): Promise<void> {
		await this.#control(machine, "containerManager.Pause");
	}

	async resume(machine: Machine): Promise<void> {
		await this.#control(machine, "containerManager.Resume");
	}

	async isPaused(machine: Machine): Promise<boolean> {
		// gVisor does not say, and panics when one too many is resumed; what its tasks' goroutines wait for does.
		const stacks = await this.diagnose(machine);
		const tasks = stacks.split("\n\n").filter((stack) => stack.includes("kernel.(*Task).run("));
		return tasks.every((stack) => stack.includes("kernel.(*Task).doStop("));
	}

	/** The stacks of its goroutines. */
	async diagnose(machine: Machine): Promise<string> {
		return String(await this.#control(machine, "debug.Stacks"));
	}

	async checkpoint(machine: Machine, memoryDir: string): Promise<Written> {
		try {
			if (this.#direct) {
				const { controlSocket } = await readState(runscRoot(machine), machine.id);
				const arg = { ...SAVE, have_pages_file: true, Resume: true };
				const files = IMAGE_FILES.map((name) => `create:${join(memoryDir, name)}`);
				await callWith(this.#native, controlSocket, "containerManager.Checkpoint", arg, files);
				return {};
			}
			// Without --leave-running a save that fails (disk full) kills the sandbox all the same.
			const save = ["checkpoint", "--leave-running", "--compression=none", "--exclude-committed-zero-pages"];
			const args = [`--root=${runscRoot(machine)}`, ...this.#flags, ...save, `--image-path=${memoryDir}`, machine.id];
			await command(this.#runsc, args, { timeoutMs: 120_000 });
			return {};
		} catch (error) {
			throw notStorable(error) ?? error;
		}
	}

	/** An empty sandbox over an empty root, with its network: all that can be done before it is known what goes in. */
	async #prestart(machine: Machine): Promise<void> {
		const placeholder = join(machine.dir, "placeholder");
		await mkdir(join(placeholder, "new"), { recursive: true, mode: 0o700 });
		await writeBundle(machine, placeholder);
		await this.#start(machine, ["create", "--bundle", machine.dir, machine.id]);
		const { controlSocket, goferPid } = await readState(runscRoot(machine), machine.id);
		// It has nothing to serve until it has the root; but it must have entered its cage, where the placeholder is.
		for (const deadline = Date.now() + CAGED_WITHIN_MS; !existsSync(`/proc/${goferPid}/root/new`); await sleep(5))
			if (Date.now() > deadline) throw new DormiceError("command_failed", `The gofer of ${machine.id} is not ready.`);
		process.kill(goferPid, "SIGSTOP");
		const eth0 = [`packet:${machine.netns}`];
		await callWith(this.#native, controlSocket, "Network.CreateLinksAndRoutes", networkLinks(), eth0);
	}

	/**
	 * Loads the memory while the disk is being mounted. The gofer is asked for files only when the kernel's state is
	 * loaded; it stands still until the root has taken the placeholder's place.
	 */
	async #fill(machine: Machine, memoryDir: string, mounted: Promise<unknown>): Promise<number> {
		const steps = new Steps({ verb: "gvisor", sandbox: machine.hostname });
		const { controlSocket, goferPid, pid } = await readState(runscRoot(machine), machine.id);
		const files = IMAGE_FILES.map((name) => `read:${join(memoryDir, name)}`);
		const giveRoot = async () => {
			await mounted;
			const binds = BINDS.flatMap(({ source, destination }) => [source(machine), destination]);
			await this.#native.call("reroot", String(goferPid), machine.root, ...binds);
			process.kill(goferPid, "SIGCONT");
		};
		const arg = { HavePagesFile: true };
		const load = callWith(this.#native, controlSocket, "containerManager.Restore", arg, files);
		try {
			await Promise.all([steps.time("root", giveRoot()), steps.time("load", load)]);
		} catch (error) {
			await logLastWords(machine);
			throw error;
		}
		steps.done(log);
		return pid;
	}

	async #control(machine: Machine, method: string): Promise<unknown> {
		const { controlSocket } = await readState(runscRoot(machine), machine.id);
		return call(controlSocket, method);
	}

	async #start(machine: Machine, verb: readonly string[]): Promise<void> {
		const runscLog = join(machine.dir, "runsc.log");
		const runsc = [this.#runsc, `--root=${runscRoot(machine)}`, `--log=${runscLog}`, ...this.#flags, ...verb];
		try {
			await command(this.#native.path, ["launch", ...machine.launch, ...runsc], { timeoutMs: 60_000 });
		} catch (cause) {
			const said = (await readFile(runscLog, "utf8").catch(() => "")).trim().split("\n").slice(-4).join(" | ");
			await logLastWords(machine);
			throw new DormiceError("command_failed", `runsc ${verb[0]} of ${machine.id} failed: ${said.slice(-1000)}`, {
				cause,
			});
		}
	}
}

/** A kernel that panics says so where its guest's output goes. */
async function logLastWords(machine: Machine): Promise<void> {
	const last = (await lastWords(machine.log)).slice(-LAST_WORDS);
	log.warn({ sandbox: machine.hostname, last }, "the last words of a sandbox that did not start");
}

async function writeBundle(machine: Machine, root: string): Promise<void> {
	await mkdir(runscRoot(machine), { recursive: true, mode: 0o700 });
	await writeWhole(join(machine.dir, "config.json"), JSON.stringify(ociSpec(machine, root)));
}

function runscRoot(machine: Machine): string {
	return join(machine.dir, "runsc");
}

/** What gVisor cannot store, when that is why a checkpoint failed: a deleted file of the disk that a program has open. */
function notStorable(error: unknown): DormiceError | undefined {
	const said = error instanceof Error ? error.message : "";
	const file = /dentry\("(.{1,200}?)"\)\S* deleted/.exec(said)?.[1];
	if (file === undefined) return undefined;
	return new DormiceError(
		"not_storable",
		`A program has a deleted file open (/${file.replace(/[^\x20-\x7e]/g, "?")}), which cannot be stored. ` +
			"End it, or pause without memory.",
		{ cause: error },
	);
}
