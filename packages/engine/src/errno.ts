import { DormiceError } from "@dormice/protocol";

const NO_SPACE = ["ENOSPC", "EDQUOT"];

/** What Node throws of file systems → ours, where ours says what to do. */
export function fromErrno(error: unknown): unknown {
	const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
	if (code === undefined || !NO_SPACE.includes(code)) return error;
	return new DormiceError("disk_full", "No space is left in the pool. Free some, or enlarge DORMICE_POOL_GIB.", {
		cause: error,
	});
}
