import assert from "node:assert/strict";
import { test } from "node:test";
import { whyAutomatic } from "./automatic.ts";
import type { Driver } from "./check.ts";

function driver(isolation: string, rest: Partial<Driver> = {}): Driver {
	return { isolation, usable: true, reason: "a sandbox ran", version: "1", needs: [], ...rest };
}

const gvisor = driver("gvisor");
const rows: [string, Driver[], string, RegExp][] = [
	["there is no other", [gvisor], "gvisor", /^a sandbox ran; not microvm: there is no driver/],
	[
		"the stronger one is emulated",
		[gvisor, driver("microvm", { acceleration: "emulated" })],
		"gvisor",
		/without KVM.*--allow-emulation/,
	],
	[
		"the stronger one does not run",
		[gvisor, driver("microvm", { usable: false, reason: "no qemu" })],
		"gvisor",
		/not microvm: no qemu$/,
	],
	["it is the strongest", [gvisor, driver("microvm", { acceleration: "kvm" })], "microvm", /^a sandbox ran$/],
	["there is none", [driver("gvisor", { usable: false, reason: "no runsc" })], "", /not gvisor: no runsc$/],
];
for (const [name, drivers, isolation, expected] of rows) {
	test(`why sandboxes get what they get: ${name}`, () => assert.match(whyAutomatic(drivers, isolation), expected));
}
