import { execFileSync } from "node:child_process";
import { DormiceError } from "@dormice/protocol";
import { debianCodename, enableBackports, install, refreshLists } from "./apt.ts";
import { locate } from "./programs.ts";
import type { SetupStep } from "./step.ts";

/** Before this, gVisor has no systrap platform. */
const OLDEST = 20240101;

/** gVisor's `runsc`: the one that `RUNSC_PATH` names, else the distribution's. */
export function runscStep(path: string, runscPath: string | undefined): SetupStep {
	return {
		title: "Install gVisor",
		isDone: () => isUsable(findRunsc(path, runscPath)),
		async run(line) {
			if (runscPath !== undefined) {
				throw new DormiceError("not_set_up", `RUNSC_PATH is ${runscPath}, which is no runsc of 2024 or later.`);
			}
			const codename = debianCodename();
			// Debian 12 itself has one of 2022; Debian 13 and others have one that works, or none at all.
			const suite = codename === "bookworm" ? `${codename}-backports` : undefined;
			if (codename !== undefined && suite !== undefined && enableBackports(codename)) line(`added ${suite}`);
			await refreshLists(path, line);
			await install(["runsc"], path, line, suite);
			const found = findRunsc(path, undefined);
			if (isUsable(found)) return;
			throw new DormiceError(
				"not_set_up",
				`The runsc of this system (${found ? found.version : "none"}) is too old. ` +
					"Install one of 2024 or later and point RUNSC_PATH at it.",
			);
		},
	};
}

export interface Runsc {
	path: string;
	version: string;
}

/** The runsc that the engine will use. */
export function findRunsc(path: string, runscPath: string | undefined): Runsc | undefined {
	const found = runscPath ?? locate("runsc", path);
	if (found === undefined) return undefined;
	try {
		const text = execFileSync(found, ["--version"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
		return { path: found, version: /runsc version (\S+)/.exec(text)?.[1] ?? text.trim() };
	} catch {
		// Not there, or not a program: the same as none.
		return undefined;
	}
}

export function isUsable(runsc: Runsc | undefined): boolean {
	return runsc !== undefined && dateOf(runsc.version) >= OLDEST;
}

/** The date in `0.0~20240729.0`, `release-20241028.0` and the like; 0 when there is none. */
export function dateOf(version: string): number {
	return Number(/20\d{6}/.exec(version)?.[0] ?? 0);
}
