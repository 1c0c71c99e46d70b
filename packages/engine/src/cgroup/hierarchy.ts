import { readFile } from "node:fs/promises";
import type { Limits } from "../limits.ts";

/** Memory the sandbox's kernel needs beside the guest's own. */
export const KERNEL_OVERHEAD_MIB = 160;
/**
 * What the kernel may need on top while it stores itself. gVisor's own heap was seen to take 230 MiB then, in a sandbox of
 * 320 that had lived through a lot.
 */
export const STORE_ROOM_MIB = 256;
/** Host tasks of the sandbox's kernel beside the guest's own. */
export const KERNEL_OVERHEAD_TASKS = 1024;

export const CONTROLLERS = ["memory", "cpu", "cpuacct", "pids", "freezer"] as const;
export type Controller = (typeof CONTROLLERS)[number];

/** The controllers' mount points: one for all in v2, one each in v1. */
export type Hierarchy =
	| { version: "v2"; mount: string }
	// `others`: controllers we do not use, where what we start may make directories all the same.
	| { version: "v1"; mounts: Record<Controller, string>; others: string[] };

/** Finds the hierarchy that has the controllers, in the text of /proc/mounts and of the v2 root's cgroup.controllers. */
export function chooseHierarchy(mounts: string, v2Controllers: (mount: string) => string): Hierarchy | undefined {
	const v1: Record<string, string> = {};
	const v1Mounts = new Set<string>();
	for (const line of mounts.split("\n")) {
		const [, mount, type, options] = line.split(" ");
		if (!mount || !type || !options) continue;
		if (type === "cgroup2") {
			const has = v2Controllers(mount).split(/\s+/);
			if (["memory", "cpu", "pids"].every((name) => has.includes(name))) return { version: "v2", mount };
		}
		if (type !== "cgroup") continue;
		v1Mounts.add(mount);
		for (const name of options.split(",")) v1[name] ??= mount;
	}
	const { memory, cpu, cpuacct, pids, freezer } = v1;
	if (!memory || !cpu || !cpuacct || !pids || !freezer) return undefined;
	const mountsUsed = { memory, cpu, cpuacct, pids, freezer };
	for (const mount of Object.values(mountsUsed)) v1Mounts.delete(mount);
	return { version: "v1", mounts: mountsUsed, others: [...v1Mounts] };
}

export async function findHierarchy(): Promise<Hierarchy | undefined> {
	const mounts = await readFile("/proc/mounts", "utf8");
	const controllers = new Map<string, string>();
	for (const line of mounts.split("\n")) {
		const [, mount, type] = line.split(" ");
		if (type === "cgroup2" && mount) controllers.set(mount, await readFile(`${mount}/cgroup.controllers`, "utf8"));
	}
	return chooseHierarchy(mounts, (mount) => controllers.get(mount) ?? "");
}

export type LimitFile = {
	controller: Controller;
	file: string;
	value: string;
	/** Only there where the kernel accounts for swap. */
	optional?: boolean;
};

/**
 * The limit of memory of a sandbox that is stored meanwhile or is not, in the order in which it can be lowered. What runs
 * never swaps: it would take more than its memory from the host, and be slow. v1 needs both of its words for that, as the
 * limit alone is of memory without swap, and swappiness is no limit.
 */
export function memoryLimit(
	version: "v1" | "v2",
	{ memoryMiB }: Pick<Limits, "memoryMiB">,
	stored = false,
): readonly LimitFile[] {
	const value = String((memoryMiB + KERNEL_OVERHEAD_MIB + (stored ? STORE_ROOM_MIB : 0)) * 2 ** 20);
	const controller = "memory";
	if (version === "v2") {
		return [
			{ controller, file: "memory.max", value },
			{ controller, file: "memory.swap.max", value: "0", optional: true },
		];
	}
	return [
		{ controller, file: "memory.limit_in_bytes", value },
		{ controller, file: "memory.memsw.limit_in_bytes", value, optional: true },
		{ controller, file: "memory.swappiness", value: "0" },
	];
}

/** The files to write for these limits, relative to the sandbox's directory in each controller. */
export function limitFiles(version: "v1" | "v2", limits: Limits): LimitFile[] {
	const tasks = String(limits.pids + KERNEL_OVERHEAD_TASKS);
	const quota = limits.cpuCount * 100_000;
	if (version === "v2") {
		return [
			...memoryLimit(version, limits),
			{ controller: "cpu", file: "cpu.max", value: `${quota} 100000` },
			{ controller: "pids", file: "pids.max", value: tasks },
		];
	}
	return [
		...memoryLimit(version, limits),
		{ controller: "cpu", file: "cpu.cfs_period_us", value: "100000" },
		{ controller: "cpu", file: "cpu.cfs_quota_us", value: String(quota) },
		{ controller: "pids", file: "pids.max", value: tasks },
	];
}
