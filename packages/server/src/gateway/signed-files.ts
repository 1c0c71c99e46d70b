import { createHash, timingSafeEqual } from "node:crypto";
import { publicState } from "@dormice/protocol";
import type { Resident } from "../sandboxes/resident.ts";

/**
 * Finds the sandbox of a signed file link that names none: the one whose token makes this signature, expired or not,
 * so that the sandbox can say what is wrong with the link.
 * The signature is E2B's: `v1_` + base64 of SHA-256 over `path:operation:user:token[:expiry]`, without padding.
 */
export function findSigned(residents: Iterable<Resident>, method: string, url: string): string | undefined {
	const query = new URLSearchParams(url.slice(url.indexOf("?")));
	const given = Buffer.from(query.get("signature") ?? "");
	const operation = method === "GET" || method === "HEAD" ? "read" : "write";
	const expiration = query.get("signature_expiration");
	const before = `${query.get("path") ?? ""}:${operation}:${query.get("username") ?? ""}:`;
	const after = expiration === null ? "" : `:${expiration}`;
	for (const { id, record } of residents) {
		if (record.accessToken === null || publicState(record) === undefined) continue;
		const hash = createHash("sha256").update(`${before}${record.accessToken}${after}`).digest("base64");
		const expected = Buffer.from(`v1_${hash.replace(/=+$/, "")}`);
		if (expected.length === given.length && timingSafeEqual(expected, given)) return id;
	}
	return undefined;
}

/** Whether a link was signed with this sandbox's token, and counts still: less must wake nothing. */
export function isSignedBy(resident: Resident, method: string, url: string, nowMs = Date.now()): boolean {
	if (!url.startsWith("/files?") || findSigned([resident], method, url) === undefined) return false;
	const [expiration, ...more] = new URLSearchParams(url.slice(url.indexOf("?"))).getAll("signature_expiration");
	if (expiration === undefined) return true;
	// As strict as the supervisor (its `files/signature.ts`), which has the last word on a link.
	return more.length === 0 && /^\d{1,12}$/.test(expiration) && Number(expiration) * 1000 >= nowMs;
}
