import type { Isolation } from "@dormice/protocol";
import type { Limits } from "../config.ts";

/** A sandbox as its host has it. */
export interface HostSandbox {
	id: string;
	/** `paused` is a checkpoint's doing, `frozen` a doze's; of a `stopped` one only the disk is there. */
	state: "running" | "frozen" | "paused" | "stopped";
	/** Undefined of one of which only the disk is there. */
	isolation: Isolation | undefined;
	/** Where its ports are reached; empty when stopped. */
	address: string;
	guestId: string;
	/** What was wrong with its disk before it was started, and was repaired. */
	repaired: string | undefined;
}

/** The manifest of a stored state. */
export interface Generation {
	id: string;
	parentId: string | undefined;
	rootfsId: string;
	memory: boolean;
	isolation: Isolation;
	engineVersion: string;
	guestId: string;
	memoryBytes: number;
	/** What its disk takes in the pool, shared or not. */
	diskBytes: number;
	/** Of the sandbox it was made of: a copy keeps its disk, and a microVM that goes on from it its CPUs and memory. */
	limits: Omit<Limits, "pids">;
	createdAt: string;
	reason: string;
}

/** What this host can run sandboxes with, or not. */
export interface HostDriver {
	isolation: Isolation;
	usable: boolean;
	/** Why it is usable, or why not: for people. */
	reason: string;
	/** Stored states are made by one version, and read by it. */
	version: string;
	/** A virtual machine in software. */
	emulated: boolean;
}

/** What this host gives new sandboxes. */
export interface HostReport {
	drivers: HostDriver[];
	/** What sandboxes get that ask for none; undefined: there is nothing to get unasked. */
	automatic: Isolation | undefined;
	guestId: string;
	/** Names the pool that holds disks and generations. */
	poolId: string;
}

/** A file that differs between two states of a sandbox. Its path is the sandbox's own word: any characters. */
export interface FileChange {
	path: string;
	change: "added" | "changed" | "removed";
	type: "file" | "directory" | "symlink" | "other";
	bytesBefore: number;
	bytesAfter: number;
}

export interface GuestProcess {
	pid: number;
	uid: number;
	name: string;
}

/** What lies between two states. */
export interface Difference {
	files: FileChange[];
	/** There is more. */
	truncated: boolean;
	started: GuestProcess[];
	ended: GuestProcess[];
}

export interface UsageGroup {
	name: string;
	generationIds: string[];
	/** Disks of sandboxes. */
	sandboxIds: string[];
}

export interface Usage {
	/** By the group's name: what its blocks take, and what would be free if all of it went and nothing else. */
	groups: Map<string, { bytes: number; ownBytes: number }>;
	poolTotalBytes: number;
	poolFreeBytes: number;
}

export interface Stats {
	cpuUsageUs: number;
	memoryBytes: number;
	memoryCacheBytes: number;
	diskUsedBytes: number;
	diskTotalBytes: number;
}

export type BootSource = { rootfsId: string } | { generationId: string } | { ownDisk: true };

/** The engine's verbs as the server uses them. Errors are `DormiceError`s; one that is not there is `engine_unavailable`. */
export interface Engine {
	probe(): Promise<HostReport>;
	listRootfs(): Promise<{ id: string; name: string }[]>;
	boot(id: string, limits: Limits, source: BootSource, isolation: Isolation): Promise<HostSandbox>;
	/** With the isolation that the generation was stored by. */
	restore(id: string, limits: Limits, generationId: string): Promise<HostSandbox>;
	checkpoint(
		id: string,
		options: { generationId: string; memory: boolean; parentId?: string; reason: string },
		/** Calls it off after the step in progress: then the sandbox goes on, and nothing was stored. */
		signal?: AbortSignal,
	): Promise<Generation>;
	/**
	 * As `checkpoint`, with memory, of a sandbox that goes on by itself as soon as that is taken: `wentOn` is called then.
	 * Resolves when the generation is durable. When it fails before, the sandbox may stand still.
	 */
	capture(
		id: string,
		options: { generationId: string; parentId?: string; reason: string },
		wentOn: () => void,
	): Promise<Generation>;
	resume(id: string): Promise<void>;
	/** Its processes stop where they are, in RAM, until `thaw`. */
	freeze(id: string): Promise<void>;
	thaw(id: string): Promise<void>;
	/**
	 * A sandbox that is not there is no error: it is destroyed. `forget` takes its log too, for an id that is done with;
	 * `behind` returns once the id is free, before its processes are gone.
	 */
	destroy(id: string, options?: { keepDisk?: boolean; forget?: boolean; behind?: boolean }): Promise<void>;
	list(): Promise<HostSandbox[]>;
	stats(id: string): Promise<Stats>;
	/** What its host and its kernel see of a sandbox that does not answer, for people. */
	diagnose(id: string): Promise<string>;
	/** From a generation to another, or to what a sandbox is now. */
	diff(fromId: string, to: { generationId: string } | { sandboxId: string }): Promise<Difference>;
	listGenerations(): Promise<Generation[]>;
	/** What sets of stored things take of the pool, by name; blocks that only others refer to are not looked at. */
	usage(groups: readonly UsageGroup[]): Promise<Usage>;
	/** A generation that is not there is no error. */
	deleteGeneration(id: string): Promise<void>;
}
