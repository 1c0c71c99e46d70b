import { ISOLATIONS, type Isolation } from "@dormice/protocol";
import type { Driver } from "./check.ts";

/** Why sandboxes get this isolation unasked, and none that is stronger. Pure. */
export function whyAutomatic(drivers: readonly Driver[], isolation: string): string {
	const of = (name: Isolation) => drivers.find((driver) => driver.isolation === name);
	const chosen = ISOLATIONS.find((name) => name === isolation);
	const stronger = chosen === undefined ? ISOLATIONS : ISOLATIONS.slice(0, ISOLATIONS.indexOf(chosen));
	const passedOver = stronger.map((name) => `not ${name}: ${whyNot(of(name))}`);
	if (chosen === undefined) return passedOver.join("; ");
	return [of(chosen)?.reason || "a real sandbox ran with it", ...passedOver].join("; ");
}

function whyNot(driver: Driver | undefined): string {
	if (driver === undefined) return "there is no driver for it";
	if (!driver.usable) return driver.reason;
	return "without KVM it runs in software emulation, for who asks for it by name after `dormice up --allow-emulation`";
}
