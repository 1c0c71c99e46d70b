import { accessSync, constants } from "node:fs";
import { join } from "node:path";

/** Something a Dormice host needs from its distribution. */
export interface Program {
	/** The Debian package that brings it. */
	package: string;
	/** A program by name, or a file by path, whose presence proves the package. */
	proof: string;
	/** What it is for. */
	purpose: string;
}

export const PROGRAMS: readonly Program[] = [
	{ package: "btrfs-progs", proof: "mkfs.btrfs", purpose: "the pool of disks" },
	{ package: "e2fsprogs", proof: "mkfs.ext4", purpose: "file systems of sandboxes" },
	{ package: "nftables", proof: "nft", purpose: "what a sandbox's network may do" },
	{ package: "iproute2", proof: "ip", purpose: "network slots" },
	{ package: "mmdebstrap", proof: "mmdebstrap", purpose: "building the base template" },
	{ package: "tini", proof: "tini-static", purpose: "the first process in a sandbox" },
	{ package: "gcc", proof: "gcc", purpose: "building the supervisor's spawner" },
	{ package: "libc6-dev", proof: "/usr/include/stdio.h", purpose: "building the supervisor's spawner" },
	{ package: "util-linux", proof: "setpriv", purpose: "running the server without privileges" },
	{ package: "procps", proof: "ps", purpose: "looking at processes" },
	{ package: "ca-certificates", proof: "/etc/ssl/certs/ca-certificates.crt", purpose: "TLS" },
];

/** What microVMs need besides; only for those who asked for them. */
export const MICROVM_PROGRAMS: readonly Program[] = [
	{ package: "qemu-system-x86", proof: "qemu-system-x86_64", purpose: "running microVMs" },
	{ package: "erofs-utils", proof: "mkfs.erofs", purpose: "read-only images for microVMs" },
	{ package: "kmod", proof: "depmod", purpose: "the kernel modules of microVMs" },
];

/** Where a program or file is; `undefined` when it is missing. */
export function locate(proof: string, searchPath: string): string | undefined {
	const candidates = proof.startsWith("/") ? [proof] : searchPath.split(":").map((directory) => join(directory, proof));
	return candidates.find((candidate) => {
		try {
			accessSync(candidate, proof.startsWith("/") ? constants.R_OK : constants.X_OK);
			return true;
		} catch {
			return false;
		}
	});
}

export function missingPrograms(searchPath: string): Program[] {
	return PROGRAMS.filter(({ proof }) => locate(proof, searchPath) === undefined);
}
