import { readFileSync } from "node:fs";
import { MAC } from "../network/slot.ts";
import type { Command } from "./qmp.ts";

/** What a guest is started with, whichever it is. */
export type Monitor = {
	/** Path of the QEMU binary. */
	readonly qemu: string;
	readonly acceleration: "kvm" | "emulated";
	/** The kernel's command line, but for the guest's name. */
	readonly kernelArgs: string;
};

/** Where a machine's files are inside its jail. */
export const GIVEN = {
	kernel: "/given/vmlinuz",
	initramfs: "/given/initramfs",
	memory: "/given/memory",
	preload: "/given/preload.so",
	state: "/given/stored-state",
	/** By the serial numbers that the guest's init knows them by. */
	drives: { root: "/given/root", disk: "/given/disk", guest: "/given/guest", modules: "/given/modules" },
	/** The one directory that QEMU may write to. */
	own: "/own",
} as const;

/** Descriptors that the jail hands over. */
const [TAP, QMP, LOG] = [3, 4, 5];

/** Without its second interrupt controller it has places for eight devices and not for 24, which it makes all of. */
const MACHINE = "microvm,acpi=on,ioapic2=off,pcie=off,usb=off,graphics=off,suppress-vmdesc=on";
const DENIED = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";

/** What of a machine its stored state fits to no other: how many processors, and how much memory in MiB. */
export type Shape = { cpuCount: number; memoryMiB: number };

type Drive = keyof typeof GIVEN.drives;

/** A drive as QEMU opens it. */
function drive(serial: Drive) {
	const access = serial === "disk" ? { "read-only": false, discard: "unmap" } : { "read-only": true };
	return { driver: "file", "node-name": serial, filename: GIVEN.drives[serial], locking: "off", ...access };
}

/**
 * The guest's memory. Its file is never written: what the guest changes is the process's own. It is opened to be read only,
 * whatever this says (`native/preload/discard.c`).
 */
function memory({ memoryMiB }: Shape) {
	const mapping = { "mem-path": GIVEN.memory, share: false };
	return { "qom-type": "memory-backend-file", id: "memory", size: memoryMiB * 2 ** 20, ...mapping };
}

/** The QEMU command of a machine: pure mapping. One that `waits` stands still until `GO_ON`; its kernel is in the memory. */
export function commandLine(
	{ qemu, acceleration, kernelArgs }: Monitor,
	{ cpuCount, memoryMiB }: Shape,
	{ hostname, waits }: { hostname: string; waits: boolean },
): string[] {
	const kvm = acceleration === "kvm";
	const serials = Object.keys(GIVEN.drives) as Drive[];
	return [
		qemu,
		...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-sandbox", DENIED],
		...["-machine", `${MACHINE},memory-backend=memory`],
		...["-accel", kvm ? "kvm" : "tcg,tb-size=64", "-cpu", kvm ? "host" : "max"],
		// Emulated on a busy host, a second processor may not come up in the time that the guest's kernel gives it.
		...["-smp", kvm ? String(cpuCount) : "1", "-m", `${memoryMiB}M`],
		...["-object", JSON.stringify(memory({ cpuCount, memoryMiB }))],
		...["-global", "virtio-mmio.force-legacy=false"],
		...(waits ? ["-incoming", "defer"] : ["-kernel", GIVEN.kernel, "-initrd", GIVEN.initramfs]),
		...(waits ? [] : ["-append", `${kernelArgs} dormice.hostname=${hostname}`]),
		...serials.flatMap((serial) => ["-blockdev", JSON.stringify(drive(serial))]),
		...serials.flatMap((serial) => ["-device", `virtio-blk-device,drive=${serial},serial=${serial}`]),
		...["-netdev", `tap,id=net,fd=${TAP}`, "-device", `virtio-net-device,netdev=net,mac=${MAC.guest}`],
		...["-device", "virtio-rng-device"],
		// What the guest frees goes back to the host.
		...["-device", "virtio-balloon-device,free-page-reporting=on"],
		// What the guest's kernel prints goes where the engine's log of the sandbox is, which is kept short.
		...["-add-fd", `fd=${LOG},set=1`, "-chardev", "file,id=console,path=/dev/fdset/1,append=on"],
		...["-serial", "chardev:console"],
		// It may die of a client that comes while it gets ready for one; so it waits for the first.
		...["-chardev", `socket,id=qmp,fd=${QMP},server=on,wait=on`, "-mon", "chardev=qmp,mode=control"],
		// A stored state is that of the devices alone; see `xen-save-devices-state`.
		...["-global", "migration.send-configuration=off"],
	];
}

/** Said to a machine that waits when all of its files are there, in place of what stood in for them. The state has another name: see `native/preload/discard.c`. */
export const GO_ON: Command[] = [["migrate-incoming", { uri: "file:/given/state" }]];

export function withAcceleration({ qemu }: Pick<Monitor, "qemu">, acceleration: Monitor["acceleration"]): Monitor {
	return { qemu, acceleration, kernelArgs: kernelArgs(acceleration) };
}

/** Quiet, and over at once when it cannot go on. Who is frozen for a while is no CPU that got stuck. */
function kernelArgs(acceleration: Monitor["acceleration"]): string {
	// Pages that it gave back are not zero when it takes them again.
	const always =
		"console=ttyS0 loglevel=4 panic=-1 reboot=t nowatchdog rcupdate.rcu_cpu_stall_suppress=1 init_on_free=0";
	if (acceleration === "kvm") return always;
	// Its clock is the host's own, which the guest cannot measure when it is emulated on a busy host.
	const mhz = /^cpu MHz\s*:\s*([\d.]+)/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "2000";
	return `${always} mitigations=off tsc=reliable tsc_early_khz=${Math.round(Number(mhz) * 1000)}`;
}

/** What of the command line a stored state depends on. */
export function shapeOf(monitor: Monitor): string {
	return commandLine(monitor, { cpuCount: 1, memoryMiB: 1 }, { hostname: "any", waits: false }).join(" ");
}
