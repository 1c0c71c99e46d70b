import { DormiceError, type IdKind, type Isolation, isId, isIsolation } from "@dormice/protocol";
import type { Limits } from "./limits.ts";

/** Everything that crosses the socket is checked here before it names a file, a cgroup or an argument. */
export function checkId(kind: IdKind, value: string): string {
	if (!isId(kind, value))
		throw new DormiceError("invalid_argument", `Not a ${kind} id: ${JSON.stringify(value.slice(0, 64))}.`);
	return value;
}

const RANGES = { cpuCount: [1, 128], memoryMiB: [64, 1 << 20], diskMiB: [64, 1 << 24], pids: [16, 1 << 20] } as const;

/** Limits as they came over the wire, each within its range. */
export function checkLimits(
	limits: { cpuCount: number; memoryMib: number; diskMib: number; pids: number } | undefined,
): Limits {
	if (!limits)
		throw new DormiceError("invalid_argument", "A sandbox needs limits: cpu_count, memory_mib, disk_mib and pids.");
	const checked = {
		cpuCount: limits.cpuCount,
		memoryMiB: limits.memoryMib,
		diskMiB: limits.diskMib,
		pids: limits.pids,
	};
	for (const [name, [min, max]] of Object.entries(RANGES)) {
		const value = checked[name as keyof Limits];
		if (value < min || value > max)
			throw new DormiceError("invalid_argument", `${name} is ${value}; it must be ${min} to ${max}.`);
	}
	return checked;
}

/** A short text that is only ever stored, never run: control characters are refused and length is bounded. */
export function checkText(name: string, value: string, maxLength = 200): string {
	if (value.length > maxLength || /[\x00-\x1f\x7f]/.test(value)) {
		throw new DormiceError("invalid_argument", `${name} must be at most ${maxLength} printable characters.`);
	}
	return value;
}

/** An isolation, or undefined where none was asked for. */
export function checkIsolation(value: string): Isolation | undefined {
	if (value === "" || isIsolation(value)) return value === "" ? undefined : value;
	throw new DormiceError("invalid_argument", `Not an isolation: ${JSON.stringify(value.slice(0, 64))}.`);
}
