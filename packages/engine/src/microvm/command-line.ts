import { readFileSync } from "node:fs";
import { GUEST } from "@dormice/protocol";
import { MAC } from "../network/slot.ts";

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
	state: "/given/state",
	/** By the serial numbers that the guest's init knows them by. */
	drives: { root: "/given/root", disk: "/given/disk", guest: "/given/guest", modules: "/given/modules" },
	/** The one directory that QEMU may write to. */
	own: "/own",
} as const;

/** Descriptors that the jail hands over. */
const [TAP, QMP, LOG] = [3, 4, 5];

const DENIED = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";

/** The QEMU command of a machine: pure mapping. `wakes`: it goes on from a stored state. */
export function commandLine(
	{ qemu, acceleration, kernelArgs }: Monitor,
	machine: { hostname: string; limits: { cpuCount: number; memoryMiB: number } },
	wakes: boolean,
): string[] {
	const { hostname, limits } = machine;
	const size = `${limits.memoryMiB}M`;
	const kvm = acceleration === "kvm";
	const drives = Object.entries(GIVEN.drives).flatMap(([serial, file]) => {
		const access = serial === "disk" ? "read-only=off,discard=unmap" : "read-only=on";
		const block = `driver=file,node-name=${serial},filename=${file},locking=off,${access}`;
		return ["-blockdev", block, "-device", `virtio-blk-device,drive=${serial},serial=${serial}`];
	});
	return [
		qemu,
		...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-sandbox", DENIED],
		...["-machine", "microvm,acpi=on,pcie=off,usb=off,graphics=off,memory-backend=memory,suppress-vmdesc=on"],
		...["-accel", kvm ? "kvm" : "tcg,tb-size=64", "-cpu", kvm ? "host" : "max"],
		// Emulated on a busy host, a second processor may not come up in the time that the guest's kernel gives it.
		...["-smp", kvm ? String(limits.cpuCount) : "1", "-m", size],
		// The file is never written: what the guest changes is this process's own.
		"-object",
		`memory-backend-file,id=memory,size=${size},mem-path=${GIVEN.memory},share=off,readonly=on,rom=off`,
		...["-global", "virtio-mmio.force-legacy=false"],
		...["-kernel", GIVEN.kernel, "-initrd", GIVEN.initramfs],
		...["-append", `${kernelArgs} dormice.hostname=${hostname}`],
		...drives,
		...["-netdev", `tap,id=net,fd=${TAP}`, "-device", `virtio-net-device,netdev=net,mac=${MAC.guest}`],
		...["-device", "virtio-rng-device"],
		// What the guest's kernel prints goes where the engine's log of the sandbox is, which is kept short.
		...["-add-fd", `fd=${LOG},set=1`, "-chardev", "file,id=console,path=/dev/fdset/1,append=on"],
		...["-serial", "chardev:console"],
		...["-chardev", `socket,id=qmp,fd=${QMP},server=on,wait=off`, "-mon", "chardev=qmp,mode=control"],
		// A stored state is that of the devices alone; see `xen-save-devices-state`.
		...["-global", "migration.send-configuration=off"],
		...(wakes ? ["-incoming", `file:${GIVEN.state}`] : []),
	];
}

export function withAcceleration({ qemu }: Pick<Monitor, "qemu">, acceleration: Monitor["acceleration"]): Monitor {
	return { qemu, acceleration, kernelArgs: kernelArgs(acceleration) };
}

/** Quiet, and over at once when it cannot go on. */
function kernelArgs(acceleration: Monitor["acceleration"]): string {
	const always = "console=ttyS0 loglevel=4 panic=-1 reboot=t";
	if (acceleration === "kvm") return always;
	// Its clock is the host's own, which the guest cannot measure when it is emulated on a busy host.
	const mhz = /^cpu MHz\s*:\s*([\d.]+)/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "2000";
	return `${always} mitigations=off tsc=reliable tsc_early_khz=${Math.round(Number(mhz) * 1000)}`;
}

/** What of the command line a stored state depends on. */
export function shapeOf(monitor: Monitor): string {
	return commandLine(monitor, { hostname: GUEST.mount, limits: { cpuCount: 1, memoryMiB: 1 } }, false).join(" ");
}
