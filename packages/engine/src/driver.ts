import type { Isolation } from "@dormice/protocol";
import type { Limits } from "./limits.ts";

/** A machine put together and ready for a driver: its disk is there, the network slot is up, the cgroup too. */
export type Machine = {
	readonly id: string;
	/** The driver's own directory for this machine, below the run directory. */
	readonly dir: string;
	readonly hostname: string;
	/** The writable root file system, mounted; for drivers whose `disk` is "mounted". */
	readonly root: string;
	/** The image of the writable disk, over the root file system `rootfsId`; for drivers whose `disk` is "attached". */
	readonly disk: string;
	readonly rootfsId: string;
	/** The network namespace that holds its one interface, and the one with the router behind it. */
	readonly netns: string;
	readonly router: string;
	/** A user and group id of the host's that is no other machine's: what runs for it needs to be nobody else. */
	readonly uid: number;
	readonly limits: Limits;
	/** The supervisor's bundle, to be mounted read-only at `GUEST.mount`. */
	readonly guest: string;
	readonly guestId: string;
	/** A file with the boot id of the guest's kernel: new on a cold boot, the same after a wake. */
	readonly bootIdFile: string;
	/** Its cgroup, relative to each controller's mount. */
	readonly cgroup: string;
	/** Where its output goes. */
	readonly log: string;
	/** For the helper's verb `launch`, which runs what follows inside the machine's cgroups, with its output in the log. */
	readonly launch: readonly string[];
};

/** A process inside a machine, as its kernel knows it. */
export type Process = {
	pid: number;
	/** Its parent's pid. */
	parent: number;
	uid: number;
	/** When it was started, to a minute or a day, as the kernel prints it: with the pid it tells two apart. */
	startedAt: string;
	/** Of its program; a guest may set it to anything. */
	name: string;
};

/**
 * Of each file of a memory image that began as a copy of the one the machine started from: a bit for each page of 4 KiB,
 * the lowest of each byte first, set where the copy may differ.
 */
export type Written = Readonly<Record<string, Uint8Array>>;

/** Whether this host can run a driver, from cheap signs; `doctor` also boots a sandbox. */
export type ProbeReport = {
	isolation: Isolation;
	/** Of a virtual machine: what runs its instructions. */
	acceleration?: "kvm" | "emulated";
	usable: boolean;
	reason: string;
	version: string;
	needs: Need[];
};

export type Need = { name: string; found: boolean; detail: string; remedy: string };

/**
 * The seam between the engine and what runs a sandbox. A driver starts and stores machines and nothing else:
 * freezing, limits, network slots and disks are the same for every driver and live outside.
 */
export interface Driver {
	readonly isolation: Isolation;
	/** Names the binary and the flags it runs with, exactly: a memory image is only readable by the same. */
	readonly version: string;
	/** How a sandbox's disk gets to its kernel: as a directory that the host has mounted, or as the image that it is. */
	readonly disk: "mounted" | "attached";
	/** What it takes of the host's memory beside what the guest has, in MiB. */
	readonly overheadMiB: number;
	/** Starts PID 1 from nothing; resolves to the host's process id of the machine. */
	boot(machine: Machine): Promise<number>;
	/**
	 * Starts the machine from the memory image in `memoryDir`, while its root is still being mounted, as `mounted` tells.
	 * Resolves to its process id on the host.
	 */
	restore(machine: Machine, memoryDir: string, mounted: Promise<unknown>): Promise<number>;
	/** Starts a machine that waits, empty, before its root is there. Absent where the driver cannot, or nothing is won by it. */
	prestart?(machine: Machine): Promise<void>;
	/** The same in a machine that waits. */
	fill?(machine: Machine, memoryDir: string, mounted: Promise<unknown>): Promise<number>;
	/** What runs inside; none of it is asked. Nothing where that cannot be seen from outside. */
	processes(machine: Machine): Promise<Process[]>;
	/** Stops the machine where it is, so that its disk stands still. */
	pause(machine: Machine): Promise<void>;
	/** Lets a paused machine go on. One that is not paused may die of it. */
	resume(machine: Machine): Promise<void>;
	/** Lets a machine go on that stopped because there was no room for what it wrote; false when it had not. Absent where none does. */
	unstick?(machine: Machine): Promise<boolean>;
	/** Whether it stands still by `pause`. Slow: for when a crash left that open. */
	isPaused(machine: Machine): Promise<boolean>;
	/** What its kernel does now, for who must find out why it does not answer: text, as long as it comes. */
	diagnose(machine: Machine): Promise<string>;
	/** Writes the memory of a paused machine into the existing empty directory `memoryDir`; it stays paused. */
	checkpoint(machine: Machine, memoryDir: string): Promise<Written>;
}
