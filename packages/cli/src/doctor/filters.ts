import { readFileSync } from "node:fs";
import { FILTERED, seccompMode } from "../platform/filter.ts";
import type { PlatformPaths } from "../platform/paths.ts";
import { readRecord } from "../platform/record.ts";
import { recordPath } from "../platform/service.ts";
import type { Check } from "./check.ts";

/** Whether those of our processes that are to have their system calls filtered have; says nothing of what does not run. */
export function filterChecks(paths: PlatformPaths): Check[] {
	return FILTERED.flatMap((name) => {
		const process = readRecord(recordPath(paths, name));
		if (process === undefined) return [];
		const status = readFileSync(`/proc/${process.pid}/status`, "utf8");
		const ok = seccompMode(status) === 2 && /^NoNewPrivs:\s*1$/m.test(status);
		return [
			{
				name: `${name}'s filter`,
				ok,
				detail: ok ? "its system calls are filtered" : `process ${process.pid} may make every system call`,
				remedy: "sudo dormice down; sudo dormice up",
				required: false,
			},
		];
	});
}
