import assert from "node:assert/strict";
import { test } from "node:test";
import { strongest } from "./doctor.ts";
import type { ProbeReport } from "./driver.ts";

function report(isolation: ProbeReport["isolation"], rest: Partial<ProbeReport> = {}): ProbeReport {
	return { isolation, usable: true, reason: "", version: "1", needs: [], ...rest };
}

const gvisor = report("gvisor");
const rows: [string, ProbeReport[], string | undefined][] = [
	["gVisor where there is nothing else", [gvisor], "gvisor"],
	["a microVM where KVM works, whatever comes first", [gvisor, report("microvm", { acceleration: "kvm" })], "microvm"],
	["no microVM in software", [report("microvm", { acceleration: "emulated" }), gvisor], "gvisor"],
	["no microVM that cannot be used", [report("microvm", { acceleration: "kvm", usable: false }), gvisor], "gvisor"],
	["nothing at all rather than software", [report("microvm", { acceleration: "emulated" })], undefined],
];
for (const [name, reports, expected] of rows) {
	test(`what sandboxes get unasked: ${name}`, () => assert.equal(strongest(reports), expected));
}
