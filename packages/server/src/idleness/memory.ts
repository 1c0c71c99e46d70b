import { freemem, totalmem } from "node:os";
import type { Host } from "../sandboxes/host.ts";
import type { Resident } from "../sandboxes/resident.ts";

const MIB = 1 << 20;
/** Of the host's memory, what is left free where no budget says otherwise. */
const RESERVE = 0.1;

export interface Memory {
	/** What sandboxes take together. */
	usedBytes: number;
	/** Undefined: the host is what limits them. */
	budgetBytes: number | undefined;
	/** Of the host: in all, and what programs could still get. */
	totalBytes: number;
	availableBytes: number;
}

/** By how much memory is short; 0 when it is not. Pure. */
export function shortageBytes({ usedBytes, budgetBytes, totalBytes, availableBytes }: Memory): number {
	const over = budgetBytes === undefined ? totalBytes * RESERVE - availableBytes : usedBytes - budgetBytes;
	return Math.max(0, over);
}

/** What this host's sandboxes take and may take. Those that are falling asleep count as gone. */
export function readMemory({ config, table }: Host): Memory {
	const awake = [...table.values()].filter(({ link }) => link !== undefined);
	const falling = sum([...table.values()].filter(({ work }) => work?.kind === "fall"));
	const { memoryBudgetMib: budget } = config;
	return {
		usedBytes: sum(awake.filter(({ work }) => work?.kind !== "fall")),
		budgetBytes: budget === undefined ? undefined : budget * MIB,
		totalBytes: totalmem(),
		availableBytes: freemem() + falling,
	};
}

function sum(residents: readonly Resident[]): number {
	return residents.reduce((total, { memoryBytes }) => total + memoryBytes, 0);
}
