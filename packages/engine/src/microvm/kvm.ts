import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { writeWhole } from "../whole-file.ts";

export type KvmVerdict = { works: boolean; detail: string; remedy: string };

/** Names this boot of the host: what was true of its KVM before is not now. */
const BOOT_ID = "/proc/sys/kernel/random/boot_id";

/**
 * Whether KVM works here. That its device exists says nothing: nested, it may hang. It is believed only after a guest has
 * really booted under it since the host itself did, which `doctor` tries within a deadline.
 */
export function kvmVerdict(data: string): KvmVerdict {
	if (!existsSync("/dev/kvm")) {
		const remedy = "modprobe kvm-intel or kvm-amd, on a machine with virtualisation switched on in its firmware";
		return { works: false, detail: "there is no /dev/kvm", remedy };
	}
	try {
		const { bootId, works, detail } = JSON.parse(readFileSync(file(data), "utf8")) as Trial;
		if (bootId === readFileSync(BOOT_ID, "utf8")) return { works, detail, remedy: works ? "" : REMEDY };
	} catch {
		// Not tried yet.
	}
	return {
		works: false,
		detail: "/dev/kvm exists, and no guest was tried under it yet: `dormice doctor` does when nothing else is missing",
		remedy: "dormice setup --isolation microvm",
	};
}

const REMEDY = "a machine with hardware virtualisation, or with nested virtualisation that works";

type Trial = { bootId: string; works: boolean; detail: string };

/** Remembers what a trial found, until the host boots again. */
export async function rememberKvm(data: string, works: boolean, detail: string): Promise<void> {
	const trial: Trial = { bootId: readFileSync(BOOT_ID, "utf8"), works, detail };
	await writeWhole(file(data), JSON.stringify(trial));
}

function file(data: string): string {
	return join(data, "kernel", "kvm.json");
}
