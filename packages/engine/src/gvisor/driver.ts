import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { DormiceError } from "@dormice/protocol";
import { command } from "../command.ts";
import type { Driver, Machine } from "../driver.ts";
import { writeWhole } from "../whole-file.ts";
import { call, readState } from "./control.ts";
import { RUNSC_FLAGS } from "./flags.ts";
import { ociSpec } from "./spec.ts";

/** gVisor: an own kernel in user space, on any Linux host. */
export class GvisorDriver implements Driver {
	readonly isolation = "gvisor";
	readonly version: string;
	readonly #runsc: string;

	constructor(runsc: string, version: string) {
		this.#runsc = runsc;
		this.version = version;
	}

	async boot(machine: Machine): Promise<number> {
		await writeBundle(machine);
		await this.#start(machine, ["run", "--detach", "--bundle", machine.dir, machine.id]);
		return (await readState(runscRoot(machine), machine.id)).pid;
	}

	async restore(machine: Machine, memoryDir: string): Promise<number> {
		await writeBundle(machine);
		await this.#start(machine, ["restore", "--detach", "--bundle", machine.dir, "--image-path", memoryDir, machine.id]);
		return (await readState(runscRoot(machine), machine.id)).pid;
	}

	async pause(machine: Machine): Promise<void> {
		await this.#control(machine, "containerManager.Pause");
	}

	async resume(machine: Machine): Promise<void> {
		await this.#control(machine, "containerManager.Resume");
	}

	async checkpoint(machine: Machine, memoryDir: string): Promise<void> {
		// Without --leave-running a save that fails (disk full) kills the sandbox all the same.
		const save = ["checkpoint", "--leave-running", "--compression=none", "--exclude-committed-zero-pages"];
		const args = [`--root=${runscRoot(machine)}`, ...RUNSC_FLAGS, ...save, `--image-path=${memoryDir}`, machine.id];
		try {
			await command(this.#runsc, args, { timeoutMs: 120_000 });
		} catch (error) {
			throw notStorable(error, machine.id) ?? error;
		}
	}

	async #control(machine: Machine, method: string): Promise<void> {
		const { controlSocket } = await readState(runscRoot(machine), machine.id);
		await call(controlSocket, method);
	}

	async #start(machine: Machine, verb: readonly string[]): Promise<void> {
		const runscLog = join(machine.dir, "runsc.log");
		const runsc = [this.#runsc, `--root=${runscRoot(machine)}`, `--log=${runscLog}`, ...RUNSC_FLAGS, ...verb];
		const [file = "", ...args] = [...machine.launch, ...runsc];
		try {
			await command(file, args, { timeoutMs: 60_000 });
		} catch (cause) {
			const said = (await readFile(runscLog, "utf8").catch(() => "")).trim().split("\n").slice(-4).join(" | ");
			throw new DormiceError("command_failed", `runsc ${verb[0]} of ${machine.id} failed: ${said.slice(-1000)}`, {
				cause,
			});
		}
	}
}

async function writeBundle(machine: Machine): Promise<void> {
	await mkdir(runscRoot(machine), { recursive: true, mode: 0o700 });
	await writeWhole(join(machine.dir, "config.json"), JSON.stringify(ociSpec(machine)));
}

function runscRoot(machine: Machine): string {
	return join(machine.dir, "runsc");
}

/** What gVisor cannot store, when that is why a checkpoint failed: a deleted file of the disk that a program has open. */
function notStorable(error: unknown, id: string): DormiceError | undefined {
	const said = error instanceof Error ? error.message : "";
	const file = /dentry\("(.{1,200}?)"\)\S* deleted/.exec(said)?.[1];
	if (file === undefined) return undefined;
	return new DormiceError(
		"not_storable",
		`A program in ${id} has a deleted file open (/${file.replace(/[^\x20-\x7e]/g, "?")}), which cannot be stored. ` +
			"End it, or pause without memory.",
		{ cause: error },
	);
}
