import { DormiceError, type Isolation } from "@dormice/protocol";
import type { HostDriver, HostReport } from "../engine/engine.ts";
import type { IsolationWish } from "./choice.ts";

const ASK_FOR_EMULATION = "start the platform with `dormice up --allow-emulation`";

/** What this host can run sandboxes with, as the engine last told it: a create asks memory. */
export class Isolations {
	readonly #allowEmulation: boolean;
	#report: HostReport | undefined;

	constructor({ allowEmulation }: { allowEmulation: boolean }) {
		this.#allowEmulation = allowEmulation;
	}

	put(report: HostReport): void {
		this.#report = report;
	}

	/** What a sandbox gets that asks for none; undefined: it has to ask. Never one in software emulation. */
	get automatic(): Isolation | undefined {
		return this.#report?.automatic;
	}

	/** What sandboxes of a template are expected to be, and so what is to be ready ahead; undefined: none can run here. */
	aheadFor({ isolation }: { isolation: IsolationWish | null }): Isolation | undefined {
		const { usable } = this;
		return usable.find((one) => one === isolation) ?? this.automatic ?? usable[0];
	}

	/** What can be had by asking for it, the strongest first. */
	get usable(): Isolation[] {
		return this.#drivers.filter((driver) => driver.usable && this.#isAllowed(driver)).map(({ isolation }) => isolation);
	}

	/** What sandboxes of this isolation run with. Throws `isolation_unavailable`, saying why and what to do. */
	require(isolation: Isolation): HostDriver {
		if (this.#report === undefined) {
			throw new DormiceError("not_set_up", "The platform is starting: try again in a moment.");
		}
		this.checkAllowed(isolation);
		const driver = this.#drivers.find((one) => one.isolation === isolation);
		if (driver?.usable === true) return driver;
		const why = driver === undefined ? "there is no driver for it" : driver.reason;
		throw new DormiceError(
			"isolation_unavailable",
			`This host cannot run ${isolation} sandboxes: ${why}. ${this.#offer()} \`dormice doctor\` says what is missing.`,
		);
	}

	/** Throws `isolation_unavailable` for one that only runs in software, where that was not allowed. */
	checkAllowed(isolation: Isolation): void {
		const driver = this.#drivers.find((one) => one.isolation === isolation);
		if (driver === undefined || !driver.usable || this.#isAllowed(driver)) return;
		throw new DormiceError(
			"isolation_unavailable",
			`This host runs ${isolation} in software emulation only, which is slow and for tests: ${ASK_FOR_EMULATION} to have it all the same.`,
		);
	}

	/** Whether this host runs it as a virtual machine in software. */
	isEmulated(isolation: Isolation): boolean {
		return this.#drivers.some((one) => one.isolation === isolation && one.emulated);
	}

	/** What there is, for whoever asked for something else. */
	#offer(): string {
		const { usable } = this;
		return usable.length === 0 ? "It can run none." : `It can run ${usable.join(" and ")}.`;
	}

	get #drivers(): readonly HostDriver[] {
		return this.#report?.drivers ?? [];
	}

	#isAllowed({ emulated }: HostDriver): boolean {
		return !emulated || this.#allowEmulation;
	}
}
