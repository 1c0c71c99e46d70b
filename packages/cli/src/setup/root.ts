import { DormiceError } from "@dormice/protocol";

/** Throws when we are not root, saying what for. */
export function requireRoot(what: string, why: string): void {
	if (process.getuid?.() === 0) return;
	throw new DormiceError("permission_denied", `${what} needs root: ${why}. Run it again with sudo.`);
}
