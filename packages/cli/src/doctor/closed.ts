import { readFileSync, statSync } from "node:fs";
import { type Exposed, exposed } from "@dormice/protocol";
import type { PlatformPaths } from "../platform/paths.ts";
import type { Check } from "./check.ts";

const SWAPS = "/proc/swaps";

/** Whether other users of this machine could open something that holds what guests or secrets hold. */
export function closedCheck({ data, run }: PlatformPaths, pool: string | undefined, swaps = SWAPS): Check {
	const found = [...exposed({ data, run, pool }), ...exposedSwaps(readFileSync(swaps, "utf8"))];
	const detail = found.map(({ path, mode }) => `${path} (${mode.toString(8)})`).join(", ");
	const commands = found.map(({ path, closedMode }) => `chmod ${closedMode.toString(8)} ${path}`).join("; ");
	return {
		name: "closed to others",
		ok: found.length === 0,
		detail: found.length === 0 ? `${data} and ${run}` : `other users may open ${detail}`,
		...(found.length === 0 ? {} : { remedy: commands }),
		required: false,
	};
}

/** Guests' memory may be in them. A partition is a device, which root and its group alone may open. */
function exposedSwaps(swaps: string): Exposed[] {
	return swaps.split("\n").flatMap((line) => {
		const [path = "", type] = line.split(/\s+/);
		const info = type === "file" ? statSync(path, { throwIfNoEntry: false }) : undefined;
		const mode = (info?.mode ?? 0) & 0o7777;
		return mode & 0o077 ? [{ path, mode, closedMode: mode & 0o600 }] : [];
	});
}
