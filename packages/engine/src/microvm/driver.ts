import { constants } from "node:fs";
import { chmod, chown, copyFile, mkdir, open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { DormiceError, GUEST, Steps } from "@dormice/protocol";
import { failed } from "../command.ts";
import type { Pool } from "../disk/pool.ts";
import type { Driver, Machine, Process, Written } from "../driver.ts";
import { lastWords } from "../last-words.ts";
import { bestEffort, log } from "../log.ts";
import type { Native } from "../native.ts";
import { DOWNLINK } from "../network/rules.ts";
import { MAC } from "../network/slot.ts";
import { writeWhole } from "../whole-file.ts";
import { commandLine, GIVEN, GO_ON, type Monitor, type Shape, withAcceleration } from "./command-line.ts";
import type { Images } from "./images.ts";
import type { Kernel } from "./kernel.ts";
import { Qmp, qmp } from "./qmp.ts";

/** A guest's memory as of the checkpoint, the state of its devices, which of its memory had been used since its start, and its size. */
const [MEMORY, STATE, TOUCHED, SHAPE] = ["memory", "state", "touched", "shape"];

const QUERY_STATUS = [["query-status"]] as const;
const STARTS_WITHIN_MS = 60_000;
/** Of device state; it takes a few hundred KiB. */
const MAX_STATE_BYTES = 64 << 20;
/** Of what stands in for a drive. */
const STAND_IN_BYTES = 1 << 20;

type Start = { waits: boolean; files: readonly string[] };
/** The first connection to its control socket, which QEMU needs to start at all. */
type Started = Disposable & { pid: number; connection: Qmp };
/** A machine on its way to a sandbox: `took` is done when it has everything but the sandbox's disk, which `mounted` tells of. */
type Claimed = {
	pid: number;
	connection: Qmp;
	took: Promise<unknown>;
	mounted: Promise<unknown>;
	steps: Steps;
};

export type MicrovmParts = { native: Native; pool: Pool; images: Images };

/**
 * QEMU: a machine with a kernel of its own. Its memory is a private mapping of a file that is never written, the stored
 * memory that it went on from or one of zeroes: machines that went on from the same share what they did not change, and
 * a checkpoint writes only what this one did.
 */
export class MicrovmDriver implements Driver {
	readonly isolation = "microvm";
	readonly disk = "attached";
	readonly version: string;
	readonly overheadMiB: number;
	readonly #monitor: Monitor;
	readonly #kernel: Kernel;
	readonly #parts: MicrovmParts;

	constructor(version: string, monitor: Monitor, kernel: Kernel, parts: MicrovmParts) {
		this.version = version;
		// Emulation keeps what it translated.
		this.overheadMiB = monitor.acceleration === "kvm" ? 64 : 192;
		this.#monitor = monitor;
		this.#kernel = kernel;
		this.#parts = parts;
	}

	/** The same under KVM, to find out whether that works. */
	underKvm(): MicrovmDriver {
		return new MicrovmDriver(this.version, withAcceleration(this.#monitor, "kvm"), this.#kernel, this.#parts);
	}

	async boot(machine: Machine): Promise<number> {
		const { memoryMiB } = machine.limits;
		const memory = await this.#zeroes(memoryMiB);
		await chown(machine.disk, machine.uid, machine.uid);
		const files = [...(await this.#readable(machine, memory)), diskOf(machine)];
		using started = await this.#start(machine, machine.limits, { waits: false, files });
		await reaches(machine, started, "running");
		return started.pid;
	}

	async restore(machine: Machine, memoryDir: string, mounted: Promise<unknown>): Promise<number> {
		const steps = new Steps({ verb: "vmm", sandbox: machine.hostname, ready: "false" });
		const [shape, stored, disk] = await Promise.all([
			shapeIn(memoryDir),
			this.#stored(machine, memoryDir),
			standIn(machine),
		]);
		const files = [...stored, `rw:${disk}:${GIVEN.drives.disk}`];
		using started = await steps.time("start", this.#start(machine, shape, { waits: true, files }));
		const { pid, connection } = started;
		// Nothing, which it answers when it has opened what it was started with.
		const took = answered(machine, pid, connection.run([], { timeoutMs: STARTS_WITHIN_MS }));
		await this.#goOn(machine, memoryDir, { pid, connection, took, mounted, steps });
		return pid;
	}

	async prestart(machine: Machine): Promise<void> {
		const [memory, drive] = await Promise.all([this.#zeroes(machine.limits.memoryMiB), standIn(machine)]);
		const { root, guest, disk } = GIVEN.drives;
		const files = [
			`ro:${memory}:${GIVEN.memory}`,
			`ro:${drive}:${root}`,
			`ro:${drive}:${guest}`,
			`rw:${drive}:${disk}`,
		];
		using started = await this.#start(machine, machine.limits, { waits: true, files });
		await reaches(machine, started, "inmigrate");
	}

	async fill(machine: Machine, memoryDir: string, mounted: Promise<unknown>): Promise<number> {
		const steps = new Steps({ verb: "vmm", sandbox: machine.hostname, ready: "true" });
		const pid = Number(await readFile(pidFileOf(machine), "utf8"));
		const [has, shape] = await Promise.all([shapeIn(machine.dir), shapeIn(memoryDir)]);
		if (has.cpuCount !== shape.cpuCount || has.memoryMiB !== shape.memoryMiB) {
			throw new DormiceError("internal", `${machine.id} waits with another memory or number of processors.`);
		}
		// Connected while its files are being brought.
		using connection = new Qmp(socketOf(machine));
		const stored = await this.#stored(machine, memoryDir);
		const took = this.#parts.native.call("give", String(pid), ...stored);
		await this.#goOn(machine, memoryDir, { pid, connection, took, mounted, steps });
		return pid;
	}

	/** Once it `took` everything but the sandbox's own disk, and that is there. */
	async #goOn(machine: Machine, memoryDir: string, { pid, connection, took, mounted, steps }: Claimed) {
		await Promise.all([steps.time("take", took), steps.time("disk", mounted)]);
		await chown(machine.disk, machine.uid, machine.uid);
		await this.#parts.native.call("give", String(pid), diskOf(machine));
		const goes = connection.run(GO_ON, { timeoutMs: STARTS_WITHIN_MS, until: "RESUME" });
		await steps.time("load", answered(machine, pid, goes));
		// Not sooner: the disk has enough to do for the machine itself.
		const ahead = ["ahead", join(memoryDir, MEMORY), join(memoryDir, TOUCHED)] as const;
		void bestEffort(`read the memory of ${machine.hostname} ahead`, this.#parts.native.call(...ahead));
		steps.done(log);
	}

	/** Only the guest's kernel knows. */
	async processes(): Promise<Process[]> {
		return [];
	}

	async pause(machine: Machine): Promise<void> {
		await qmp(socketOf(machine), [["stop"]]);
	}

	async resume(machine: Machine): Promise<void> {
		await qmp(socketOf(machine), [["cont"]]);
	}

	/** QEMU stops a guest whose disk finds no room, and writes again what it could not when the guest goes on. */
	async unstick(machine: Machine): Promise<boolean> {
		if ((await status(machine)) !== "io-error") return false;
		await this.resume(machine);
		return true;
	}

	async isPaused(machine: Machine): Promise<boolean> {
		return (await status(machine)) === "paused";
	}

	/** Whether it runs, and where its processors are. */
	async diagnose(machine: Machine): Promise<string> {
		const registers = ["human-monitor-command", { "command-line": "info registers -a" }] as const;
		const answers = await qmp(socketOf(machine), [...QUERY_STATUS, registers]);
		return answers.map((answer) => (typeof answer === "string" ? answer : JSON.stringify(answer))).join("\n");
	}

	async checkpoint(machine: Machine, memoryDir: string): Promise<Written> {
		const state = join(machine.dir, "own", STATE);
		// The devices without the memory, which the usual way of storing a machine would write whole.
		await qmp(socketOf(machine), [["xen-save-devices-state", { filename: `${GIVEN.own}/${STATE}`, live: false }]]);
		await takeFile(state, join(memoryDir, STATE));
		const pid = await readFile(pidFileOf(machine), "utf8");
		// By its own view of the file: the generation may have been deleted since it started.
		const from = `/proc/${pid}/root${GIVEN.memory}`;
		await copyFile(join(machine.dir, SHAPE), join(memoryDir, SHAPE));
		const map = join(machine.dir, "written");
		const files = [join(memoryDir, MEMORY), join(memoryDir, TOUCHED), map];
		const [pages, zeroes] = (await this.#parts.native.call("ram", pid, from, ...files)).trim().split(" ").map(Number);
		log.info({ sandbox: machine.hostname, pages, zeroes }, "pages of memory stored");
		return { [MEMORY]: await readFile(map) };
	}

	/** Files that many machines read, as the jail is told of them. */
	async #readable(machine: Machine, memory: string): Promise<string[]> {
		const { images } = this.#parts;
		const [root, guest] = await Promise.all([images.rootfs(machine.rootfsId), images.guest(machine.guestId)]);
		const { drives } = GIVEN;
		return [`ro:${root}:${drives.root}`, `ro:${guest}:${drives.guest}`, `ro:${memory}:${GIVEN.memory}`];
	}

	/** What a machine goes on from, as the jail is told of it. */
	async #stored(machine: Machine, memoryDir: string): Promise<string[]> {
		const readable = await this.#readable(machine, join(memoryDir, MEMORY));
		return [...readable, `ro:${join(memoryDir, STATE)}:${GIVEN.state}`];
	}

	/** Starts QEMU in a jail with these files beside its kernel; of one that waits, some may stand in for others. */
	async #start(machine: Machine, { cpuCount, memoryMiB }: Shape, { waits, files }: Start): Promise<Started> {
		const own = join(machine.dir, "own");
		const given = [
			`ro:${this.#kernel.vmlinuz}:${GIVEN.kernel}`,
			`ro:${this.#kernel.initramfs}:${GIVEN.initramfs}`,
			`ro:${this.#kernel.modules}:${GIVEN.drives.modules}`,
			...[`lib:${this.#parts.native.preload}:${GIVEN.preload}`, `env:LD_PRELOAD=${GIVEN.preload}`],
			...files,
			`rw:${own}:${GIVEN.own}`,
			...(this.#monitor.acceleration === "kvm" ? ["dev:kvm"] : []),
		];
		for (const dir of [join(machine.dir, "jail"), own]) await mkdir(dir, { recursive: true, mode: 0o700 });
		await chown(own, machine.uid, machine.uid);
		const shape: Shape = { cpuCount, memoryMiB };
		await writeWhole(join(machine.dir, SHAPE), JSON.stringify(shape));
		const pidFile = pidFileOf(machine);
		const who = [join(machine.dir, "jail"), pidFile, String(machine.uid), socketOf(machine)];
		const network = [machine.router, machine.netns, DOWNLINK, MAC.router, GUEST.gateway];
		const { native } = this.#parts;
		const jail = [native.path, "jail", ...who, ...network, ...given, "--"];
		const { hostname } = machine;
		const qemu = commandLine(this.#monitor, shape, { hostname, waits });
		// What went wrong in there is in the log, as all that QEMU says.
		await native.call("launch", ...machine.launch, ...jail, ...qemu).catch(async (cause: unknown) => {
			throw await ended(machine, cause);
		});
		const pid = Number(await readFile(pidFile, "utf8"));
		const connection = new Qmp(socketOf(machine));
		return { pid, connection, [Symbol.dispose]: () => connection[Symbol.dispose]() };
	}

	/** A file of zeroes that takes no room: the memory of a machine that was switched on. */
	async #zeroes(memoryMiB: number): Promise<string> {
		const path = join(this.#parts.pool.dir, "blank", `memory-${memoryMiB}`);
		await using file = await open(path, "a", 0o644);
		await file.truncate(memoryMiB * 2 ** 20);
		return path;
	}
}

/** What QEMU answers; throws what it said last when it ended instead. */
async function answered<T>(machine: Machine, pid: number, answer: Promise<T>): Promise<T> {
	try {
		return await answer;
	} catch (error) {
		throw isAlive(pid) ? error : await ended(machine);
	}
}

async function ended(machine: Machine, cause?: unknown): Promise<DormiceError> {
	const said = (await lastWords(machine.log)).split("\n").filter((line) => !line.includes(": info: "));
	return failed("QEMU", "ended", said.join("\n").slice(-500), cause);
}

/** Resolves when QEMU says so; throws when it ended instead. */
async function reaches(machine: Machine, { pid, connection }: Started, wanted: "running" | "inmigrate"): Promise<void> {
	for (const deadline = Date.now() + STARTS_WITHIN_MS; ; await sleep(3)) {
		const asked = connection.run(QUERY_STATUS, { timeoutMs: STARTS_WITHIN_MS });
		const now = statusIn(await answered(machine, pid, asked));
		if (now === wanted) return;
		if (Date.now() > deadline) throw failed("QEMU", "slow", `${machine.id}: ${now}`);
	}
}

async function status(machine: Machine): Promise<string> {
	return statusIn(await qmp(socketOf(machine), QUERY_STATUS));
}

function statusIn([answer]: readonly unknown[]): string {
	return (answer as { status: string }).status;
}

function isAlive(pid: number): boolean {
	try {
		return process.kill(pid, 0);
	} catch {
		return false;
	}
}

/** Moves out what QEMU wrote. Whoever took that over may have put something else there: a link to a file of the host's. */
async function takeFile(from: string, to: string): Promise<void> {
	await using file = await open(from, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
	const info = await file.stat();
	if (!info.isFile() || info.size > MAX_STATE_BYTES) {
		throw new DormiceError("command_failed", "What QEMU stored of its devices is no state.");
	}
	await copyFile(`/proc/self/fd/${file.fd}`, to, constants.COPYFILE_EXCL);
	// Whichever machine goes on from it reads it as a user of its own.
	await chmod(to, 0o644);
}

async function shapeIn(dir: string): Promise<Shape> {
	return JSON.parse(await readFile(join(dir, SHAPE), "utf8")) as Shape;
}

/** A file of the machine's own that QEMU opens as a drive of which the right one is not there yet. */
async function standIn(machine: Machine): Promise<string> {
	const path = join(machine.dir, "stand-in");
	await using file = await open(path, "w", 0o600);
	await Promise.all([file.truncate(STAND_IN_BYTES), file.chown(machine.uid, machine.uid)]);
	return path;
}

function diskOf(machine: Machine): string {
	return `rw:${machine.disk}:${GIVEN.drives.disk}`;
}

function socketOf(machine: Machine): string {
	return join(machine.dir, "qmp");
}

function pidFileOf(machine: Machine): string {
	return join(machine.dir, "pid");
}
