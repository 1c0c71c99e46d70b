import assert from "node:assert/strict";
import { test } from "node:test";
import type { Isolation } from "@dormice/protocol";
import type { HostDriver } from "../engine/engine.ts";
import { chooseIsolation, type IsolationWish, keepIsolation } from "./choice.ts";
import { Isolations } from "./isolations.ts";

interface Row {
	/** What the host has; `microvm` with KVM, or in software. */
	host: readonly ("gvisor" | "kvm" | "emulated")[];
	allowed?: boolean;
	asked?: IsolationWish;
	metadata?: string;
	template?: IsolationWish;
	minimum?: Isolation;
}

function isolationsOf({ host, allowed = false }: Row): Isolations {
	const isolations = new Isolations({ allowEmulation: allowed });
	const drivers = host.map((name): HostDriver => {
		const isolation = name === "gvisor" ? "gvisor" : "microvm";
		return { isolation, usable: true, reason: "", version: "1", emulated: name === "emulated" };
	});
	const unasked = drivers.filter(({ emulated }) => !emulated).map(({ isolation }) => isolation);
	const automatic = unasked.includes("microvm") ? "microvm" : unasked[0];
	isolations.put({ drivers, automatic, guestId: "", poolId: "" });
	return isolations;
}

function choose(row: Row): Isolation {
	const { asked, metadata, template = null, minimum = null } = row;
	return chooseIsolation(isolationsOf(row), {
		asked,
		metadata: metadata === undefined ? {} : { "dormice.isolation": metadata },
		template: { isolation: template },
		minimum,
	});
}

const chosen: [string, Row, Isolation][] = [
	["without KVM, gVisor", { host: ["gvisor"] }, "gvisor"],
	["with KVM, the microVM", { host: ["gvisor", "kvm"] }, "microvm"],
	["never software unasked, though it is allowed", { host: ["emulated", "gvisor"], allowed: true }, "gvisor"],
	[
		"software, by name and where it is allowed",
		{ host: ["emulated", "gvisor"], allowed: true, asked: "microvm" },
		"microvm",
	],
	["what the client asks for", { host: ["gvisor", "kvm"], asked: "gvisor", template: "microvm" }, "gvisor"],
	["in metadata too", { host: ["gvisor", "kvm"], metadata: "gvisor", template: "microvm" }, "gvisor"],
	["the field before metadata", { host: ["gvisor", "kvm"], asked: "auto", metadata: "gvisor" }, "microvm"],
	["else what the template says", { host: ["gvisor", "kvm"], template: "gvisor" }, "gvisor"],
	[
		"what the template says, raised to the minimum",
		{ host: ["gvisor", "kvm"], template: "gvisor", minimum: "microvm" },
		"microvm",
	],
	["more than the minimum", { host: ["gvisor", "kvm"], asked: "microvm", minimum: "gvisor" }, "microvm"],
];
for (const [name, row, expected] of chosen) test(`isolation: ${name}`, () => assert.equal(choose(row), expected));

const refused: [string, Row, string, RegExp][] = [
	[
		"what the host cannot",
		{ host: ["gvisor"], asked: "microvm" },
		"isolation_unavailable",
		/It can run gvisor.*doctor/,
	],
	[
		"software that is not allowed",
		{ host: ["gvisor", "emulated"], asked: "microvm" },
		"isolation_unavailable",
		/--allow-emulation/,
	],
	[
		"what a template says and the host cannot",
		{ host: ["gvisor"], template: "microvm" },
		"isolation_unavailable",
		/microvm/,
	],
	[
		"less than the minimum",
		{ host: ["gvisor", "kvm"], asked: "gvisor", minimum: "microvm" },
		"isolation_below_minimum",
		/at least microvm/,
	],
	[
		"less than the minimum, in metadata",
		{ host: ["gvisor", "kvm"], metadata: "gvisor", minimum: "microvm" },
		"isolation_below_minimum",
		/microvm/,
	],
	["a minimum that the host cannot give", { host: ["gvisor"], minimum: "microvm" }, "isolation_unavailable", /gvisor/],
	[
		"a minimum that there is in software only, unasked",
		{ host: ["gvisor", "emulated"], allowed: true, minimum: "microvm" },
		"isolation_unavailable",
		/ask for isolation 'microvm'/,
	],
	[
		"software unasked, where there is nothing else",
		{ host: ["emulated"], allowed: true },
		"isolation_unavailable",
		/It can run microvm/,
	],
	["a word in metadata", { host: ["gvisor"], metadata: "strong" }, "invalid_argument", /dormice\.isolation/],
];
for (const [name, row, reason, message] of refused) {
	test(`isolation, refused: ${name}`, () => assert.throws(() => choose(row), { reason, message }));
}

test("a stored state goes on with what it was stored by, and nobody gets another unawares", () => {
	const nothing = { asked: undefined, metadata: {} };
	keepIsolation("gvisor", nothing, null);
	keepIsolation("gvisor", { asked: "auto", metadata: {} }, "gvisor");
	keepIsolation("microvm", { asked: "microvm", metadata: {} }, "microvm");
	const refuses = (reason: string, ...args: Parameters<typeof keepIsolation>) =>
		assert.throws(() => keepIsolation(...args), { reason });
	refuses("generation_incompatible", "gvisor", { asked: "microvm", metadata: {} }, null);
	refuses(
		"generation_incompatible",
		"microvm",
		{ asked: undefined, metadata: { "dormice.isolation": "gvisor" } },
		null,
	);
	refuses("isolation_below_minimum", "gvisor", nothing, "microvm");
});
