import { createHash } from "node:crypto";
import { DormiceError } from "@dormice/protocol";
import { equalSecrets } from "../sandbox/sandbox.ts";

/** What a signed link lets one do: `read` downloads, `write` uploads. */
export type Operation = "read" | "write";

export interface SignedPart {
	/** Exactly as in the query. */
	readonly path: string;
	readonly operation: Operation;
	/** Empty when the query names none. */
	readonly user: string;
	/** Unix seconds, as in the query. */
	readonly expiration?: string | undefined;
}

/** Unix seconds as a link says them: digits, and no more than the year 33658 needs. */
const EXPIRATION = /^\d{1,12}$/;

/** The signature of a link, made with the sandbox's access token. */
export function sign(part: SignedPart, token: string): string {
	const raw = [
		part.path,
		part.operation,
		part.user,
		token,
		...(part.expiration === undefined ? [] : [part.expiration]),
	].join(":");
	return `v1_${createHash("sha256").update(raw).digest("base64").replace(/=+$/, "")}`;
}

/** Throws `unauthenticated`, saying what is wrong. */
export function checkSignature(
	part: SignedPart,
	signature: string | undefined,
	token: string,
	nowMs = Date.now(),
): void {
	if (!signature) throw new DormiceError("unauthenticated", "missing signature query parameter");
	if (!equalSecrets(signature, sign(part, token))) throw new DormiceError("unauthenticated", "invalid signature");
	if (part.expiration === undefined) return;
	if (!EXPIRATION.test(part.expiration)) {
		throw new DormiceError("unauthenticated", "signature_expiration must be Unix seconds in decimal digits");
	}
	if (Number(part.expiration) * 1000 < nowMs) throw new DormiceError("unauthenticated", "signature is already expired");
}
