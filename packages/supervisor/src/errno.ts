import { getSystemErrorMap } from "node:util";
import { DormiceError, type Reason } from "@dormice/protocol";

const MESSAGES = getSystemErrorMap();

/** The errno by its number, in the system's words. */
export function errnoText(errno: number): string {
	return MESSAGES.get(-errno)?.[1] ?? `errno ${errno}`;
}

/** The system's name of an error of the file system (`ENOENT`), if it is one. */
export function errnoCode(error: unknown): string | undefined {
	if (!(error instanceof Error) || !("code" in error)) return undefined;
	return typeof error.code === "string" ? error.code : undefined;
}

const REASON_OF: Readonly<Record<string, Reason>> = {
	ENOENT: "path_not_found",
	ENOTDIR: "invalid_argument",
	EISDIR: "invalid_argument",
	EINVAL: "invalid_argument",
	ENAMETOOLONG: "invalid_argument",
	ELOOP: "invalid_argument",
	ERR_INVALID_ARG_VALUE: "invalid_argument",
	EACCES: "permission_denied",
	EPERM: "permission_denied",
	EROFS: "permission_denied",
	EEXIST: "already_exists",
	ENOSPC: "disk_full",
	EDQUOT: "disk_full",
};

/** A failed call on files, as ours; `doing` completes "error …". */
export function fileError(error: unknown, doing: string): DormiceError {
	if (error instanceof DormiceError) return error;
	const code = errnoCode(error);
	// zlib's codes begin with Z_: what claimed to be compressed was not.
	const reason = code?.startsWith("Z_") ? "invalid_argument" : code && REASON_OF[code];
	const message = error instanceof Error ? error.message : String(error);
	return new DormiceError(reason || "internal", `error ${doing}: ${message}`, { cause: error });
}

/** `fileError` around a piece of work. */
export async function filing<T>(doing: string, work: Promise<T>): Promise<T> {
	try {
		return await work;
	} catch (error) {
		throw fileError(error, doing);
	}
}
