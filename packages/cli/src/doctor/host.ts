import { existsSync, readFileSync, statfsSync } from "node:fs";
import { totalmem } from "node:os";
import { dirname } from "node:path";
import type { PlatformPaths } from "../platform/paths.ts";
import type { Variables } from "../platform/settings.ts";
import { findUser, USER } from "../platform/user.ts";
import { locate, PROGRAMS } from "../setup/programs.ts";
import { findRunsc, isUsable } from "../setup/runsc.ts";
import type { Check } from "./check.ts";
import { closedCheck } from "./closed.ts";
import { filterChecks } from "./filters.ts";

const GIB = 1024 ** 3;
const SET_UP = "sudo dormice setup";

/** Everything about the host that can be seen without running anything. */
export function hostChecks(
	paths: PlatformPaths,
	path: string,
	{ RUNSC_PATH: runscPath, DORMICE_POOL: poolPath }: Variables,
): Check[] {
	return [
		required("root", process.getuid?.() === 0, `uid ${process.getuid?.()}`, "sudo dormice doctor"),
		required("node", true, `${process.version} (${process.execPath})`),
		...packageChecks(path),
		runscCheck(path, runscPath),
		required(`user ${USER}`, findUser() !== undefined, findUser() ? "present" : "missing", SET_UP),
		...kernelChecks(),
		cgroupCheck(),
		kvmCheck(),
		...hugePagesChecks(),
		...roomChecks(paths),
		closedCheck(paths, poolPath),
		...filterChecks(paths),
	];
}

function packageChecks(path: string): Check[] {
	return PROGRAMS.map((program) => {
		const found = locate(program.proof, path);
		const remedy = `apt-get install ${program.package}`;
		return required(program.package, found !== undefined, found ?? `missing, for ${program.purpose}`, remedy);
	});
}

function runscCheck(path: string, runscPath: string | undefined): Check {
	const runsc = findRunsc(path, runscPath);
	const detail = runsc ? `${runsc.version} (${runsc.path})` : "missing";
	return required("runsc", isUsable(runsc), isUsable(runsc) ? detail : `${detail}; needs one of 2024 or later`, SET_UP);
}

/** Kernel features by what the running kernel says; a module that is not loaded yet counts as missing only if it cannot be. */
function kernelChecks(): Check[] {
	const fileSystems = readFileSync("/proc/filesystems", "utf8").split(/\s+/);
	const hasModule = (name: string): boolean => existsSync(`/sys/module/${name}`) || isLoadable(name);
	const features: [name: string, found: boolean, module: string][] = [
		["overlayfs", fileSystems.includes("overlay") || hasModule("overlay"), "overlay"],
		["btrfs", fileSystems.includes("btrfs") || hasModule("btrfs"), "btrfs"],
		["loop devices", existsSync("/dev/loop-control") || hasModule("loop"), "loop"],
		["network namespaces", existsSync("/proc/self/ns/net"), ""],
		["nftables", hasModule("nf_tables") || existsSync("/proc/net/netfilter"), "nf_tables"],
	];
	return features.map(([name, found, module]) =>
		required(name, found, found ? "in the kernel" : "not in this kernel", module ? `modprobe ${module}` : undefined),
	);
}

function isLoadable(module: string): boolean {
	const release = readFileSync("/proc/sys/kernel/osrelease", "utf8").trim();
	return ["modules.dep", "modules.builtin"].some((list) => {
		const path = `/lib/modules/${release}/${list}`;
		return existsSync(path) && new RegExp(`/${module}\\.ko`, "m").test(readFileSync(path, "utf8"));
	});
}

function cgroupCheck(): Check {
	const wanted = ["cpu", "memory", "pids"];
	const unified = "/sys/fs/cgroup/cgroup.controllers";
	if (existsSync(unified)) {
		const controllers = readFileSync(unified, "utf8").trim().split(" ");
		const ok = wanted.every((name) => controllers.includes(name));
		return required("cgroups", ok, `v2: ${controllers.join(" ")}`, "boot with all controllers enabled");
	}
	const mounted = wanted.filter((name) => existsSync(`/sys/fs/cgroup/${name}/tasks`));
	return required(
		"cgroups",
		mounted.length === wanted.length,
		mounted.length > 0 ? `v1: ${mounted.join(" ")}` : "none is mounted",
		"mount -t cgroup2 none /sys/fs/cgroup",
	);
}

function kvmCheck(): Check {
	const found = existsSync("/dev/kvm");
	return {
		name: "/dev/kvm",
		ok: found,
		detail: found ? "present, which proves little: only a guest that has booted under it does" : "missing",
		remedy: "run on a machine with hardware virtualisation to have microVMs",
		required: false,
	};
}

const SHMEM_HUGE_PAGES = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";

/** Nothing is missing without them: sandboxes are stored and woken faster with them. */
function hugePagesChecks(): Check[] {
	if (!existsSync(SHMEM_HUGE_PAGES)) return [];
	const chosen = /\[(\w+)\]/.exec(readFileSync(SHMEM_HUGE_PAGES, "utf8"))?.[1] ?? "unknown";
	const ok = ["always", "within_size", "advise", "force"].includes(chosen);
	return [
		{
			name: "huge pages",
			ok,
			detail: ok ? `for shared memory: ${chosen}` : `for shared memory: ${chosen}; with 'advise' pauses take less time`,
			remedy: `echo advise > ${SHMEM_HUGE_PAGES}   (optional, until the next boot)`,
			required: false,
		},
	];
}

function roomChecks(paths: PlatformPaths): Check[] {
	const { bavail, bsize } = statfsSync(existing(paths.data));
	const freeGiB = (bavail * bsize) / GIB;
	const memoryGiB = totalmem() / GIB;
	return [
		required(
			"disk",
			freeGiB >= 4,
			`${freeGiB.toFixed(1)} GiB free for ${paths.data}`,
			"free at least 4 GiB, or use --data",
		),
		required("memory", memoryGiB >= 1.5, `${memoryGiB.toFixed(1)} GiB`, "use a machine with at least 2 GiB"),
	];
}

/** The nearest directory above that exists. */
function existing(path: string): string {
	return existsSync(path) ? path : existing(dirname(path));
}

function required(name: string, ok: boolean, detail: string, remedy?: string): Check {
	return { name, ok, detail, ...(remedy === undefined ? {} : { remedy }), required: true };
}
