import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { AskedOnce } from "../asked-once.ts";
import { command } from "../command.ts";
import type { Config } from "../config.ts";
import type { Need, ProbeReport } from "../driver.ts";
import { bestEffort } from "../log.ts";
import { type Monitor, shapeOf, withAcceleration } from "./command-line.ts";
import { type Kernel, openKernel } from "./kernel.ts";
import { kvmVerdict } from "./kvm.ts";

/** None older was ever tried. */
const OLDEST_QEMU = [8, 2] as const;
const SET_UP = "dormice setup --isolation microvm";

const asked = new AskedOnce<string>();

export type Microvms = { monitor: Monitor; kernel: Kernel; versionOf: (kernel: Kernel) => string };

/** What of QEMU is here. `found` where microVMs can run, accelerated or not. */
export async function probeQemu(config: Config): Promise<{ report: ProbeReport; found?: Microvms }> {
	const [printed, kernel] = await Promise.all([
		asked.answer(
			config.qemu,
			() => askVersion(config.qemu),
			(version) => version !== "",
		),
		openKernel(config),
	]);
	const version = /version (\d+)\.(\d+)\.\d+/.exec(printed);
	const [, major = "0", minor = "0"] = version ?? [];
	const kvm = kvmVerdict(config.data);
	const needs: Need[] = [
		need("QEMU 8.2 or newer", isNewEnough(Number(major), Number(minor)), version?.[0] ?? `not found at ${config.qemu}`),
		need("a kernel for the guests", kernel !== undefined, kernel?.version ?? "not set up"),
		need("tap devices", existsSync("/dev/net/tun"), "/dev/net/tun", "modprobe tun"),
	];
	const missing = needs.filter((one) => !one.found);
	const usable = missing.length === 0 && kernel !== undefined;
	const acceleration = kvm.works ? "kvm" : "emulated";
	// What makes it slow, not what makes it impossible.
	needs.push({ name: "KVM", found: kvm.works, detail: kvm.detail, remedy: kvm.remedy });
	if (!usable) {
		const reason = `lacks: ${missing.map(({ name }) => name).join(", ")}`;
		return { report: { isolation: "microvm", acceleration, usable, reason, version: "", needs } };
	}
	const monitor = withAcceleration({ qemu: config.qemu }, acceleration);
	const shape = createHash("sha256").update(shapeOf(monitor)).digest("hex").slice(0, 8);
	const versionOf = ({ version: release }: Kernel) =>
		`qemu-${version?.[0].slice(8)}-${acceleration}-${shape}-${release}`;
	const reason = acceleration === "kvm" ? "a guest booted under KVM" : `software emulation only: ${kvm.detail}`;
	const report: ProbeReport = { isolation: "microvm", acceleration, usable, reason, version: versionOf(kernel), needs };
	return { report, found: { monitor, kernel, versionOf } };
}

async function askVersion(qemu: string): Promise<string> {
	if (!existsSync(qemu)) return "";
	return (await bestEffort("ask QEMU's version", command(qemu, ["--version"]))) ?? "";
}

function isNewEnough(major: number, minor: number): boolean {
	const [wantedMajor, wantedMinor] = OLDEST_QEMU;
	return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

function need(name: string, found: boolean, detail: string, remedy = SET_UP): Need {
	return { name, found, detail, remedy: found ? "" : remedy };
}
