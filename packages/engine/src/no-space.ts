import { DormiceError } from "@dormice/protocol";
import type { Pool } from "./disk/pool.ts";

const CODES = ["ENOSPC", "EDQUOT"];
/** A pool with less than this has no room for what somebody writes: what is left is in pieces. */
const FULL_BELOW_BYTES = 16 << 20;

/** What Node throws for want of room → ours; anything else stays what it is. */
export function fromErrno(error: unknown): unknown {
	const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
	return code !== undefined && CODES.includes(code) ? noSpace(error) : error;
}

/** What failed while the pool was full: programs and kernels say it in many ways. Ask before anything is removed. */
export async function ofFullPool(error: unknown, pool: Pick<Pool, "space">): Promise<unknown> {
	const isTold = error instanceof DormiceError && (error.status < 500 || error.reason === "disk_full");
	if (isTold || (await pool.space()).freeBytes >= FULL_BELOW_BYTES) return error;
	return noSpace(error);
}

function noSpace(cause: unknown): DormiceError {
	return new DormiceError("disk_full", "No space is left in the pool. Free some, or enlarge DORMICE_POOL_GIB.", {
		cause,
	});
}
