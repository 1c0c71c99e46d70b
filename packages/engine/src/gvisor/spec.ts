import { GUEST } from "@dormice/protocol";
import type { Machine } from "../driver.ts";

/** Mounts that live in the sentry's memory: a checkpoint fails while a deleted file is open on the root file system. */
const TMPFS = [
	{ destination: "/tmp", options: ["mode=1777", "nosuid", "nodev"] },
	{ destination: "/var/tmp", options: ["mode=1777", "nosuid", "nodev"] },
	{ destination: "/dev/shm", options: ["mode=1777", "nosuid", "nodev"] },
	{ destination: "/run", options: ["mode=755", "nosuid", "nodev"] },
];

/** What the host puts into the root, read-only. */
export const BINDS = [
	{ source: (machine: Machine) => machine.guest, destination: GUEST.mount },
	// gVisor has none, and clients read it to tell a cold boot from a wake.
	{ source: (machine: Machine) => machine.bootIdFile, destination: "/proc/sys/kernel/random/boot_id" },
] as const;

/** The machine as an OCI runtime specification, over the root at `path`: pure mapping, no I/O. */
export function ociSpec(machine: Machine, path: string) {
	return {
		ociVersion: "1.0.2",
		process: {
			terminal: false,
			user: { uid: 0, gid: 0 },
			args: [`${GUEST.mount}/tini`, "--", `${GUEST.mount}/spawner`],
			env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_CTYPE=C.UTF-8"],
			cwd: "/",
			capabilities: capabilities(),
			rlimits: [{ type: "RLIMIT_NOFILE", hard: 65536, soft: 65536 }],
			noNewPrivileges: false,
		},
		root: { path, readonly: false },
		hostname: machine.hostname,
		mounts: [
			{ destination: "/proc", type: "proc", source: "proc" },
			{ destination: "/sys", type: "sysfs", source: "sysfs", options: ["ro"] },
			{ destination: "/dev", type: "dev", source: "dev" },
			{ destination: "/dev/pts", type: "devpts", source: "devpts" },
			...TMPFS.map((mount) => ({ ...mount, type: "tmpfs", source: "tmpfs" })),
			...BINDS.map(({ source, destination }) => bind(source(machine), destination)),
		],
		linux: {
			// Made and limited by the engine; gVisor reads from it how much memory to tell the guest.
			cgroupsPath: machine.cgroup,
			namespaces: [
				{ type: "pid" },
				{ type: "ipc" },
				{ type: "uts" },
				{ type: "mount" },
				{ type: "network", path: machine.netns },
			],
		},
	};
}

function bind(source: string, destination: string) {
	return { destination, type: "bind", source, options: ["rbind", "ro"] };
}

/** Root inside is root of gVisor's kernel only: it may do what a machine's root does. */
function capabilities() {
	const names = [
		"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER", "KILL", "LEASE",
		"LINUX_IMMUTABLE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID",
		"SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT", "SYS_NICE", "SYS_PTRACE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG",
	].map((name) => `CAP_${name}`); // biome-ignore format: a list
	return { bounding: names, effective: names, inheritable: names, permitted: names };
}
