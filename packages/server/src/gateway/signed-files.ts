import { createHash, timingSafeEqual } from "node:crypto";
import { publicState } from "@dormice/protocol";
import type { Resident } from "../sandboxes/resident.ts";

/**
 * Finds the sandbox of a signed file link that names none: the one whose token makes this signature.
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

/** Whether a link was signed with this sandbox's token. */
export function isSignedBy(resident: Resident, method: string, url: string): boolean {
	return url.startsWith("/files?") && findSigned([resident], method, url) !== undefined;
}
