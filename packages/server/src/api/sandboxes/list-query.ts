import { DormiceError, isId } from "@dormice/protocol";
import type { Sandbox } from "../../database/schema.ts";

/** Where a page of a list ended. */
export interface Cursor {
	startedAt: Date;
	id: string;
}

/**
 * A metadata filter. Clients encode it three times: keys and values, the pairs, the query. The query's own decoding is
 * done when it comes here; the pairs are still encoded or not, depending on the client's age, and both are read.
 */
export function decodeMetadata(filter: string | undefined): Record<string, string> {
	const pairs: [string, string][] = [];
	for (const pair of (filter ?? "").split("&")) {
		if (pair === "") continue;
		const at = pair.indexOf("=");
		if (at < 0) throw new DormiceError("invalid_argument", "metadata: give pairs like key=value, joined by &");
		pairs.push([decodeTwice(pair.slice(0, at)), decodeTwice(pair.slice(at + 1))]);
	}
	// So `__proto__` is a key like any other.
	return Object.fromEntries(pairs);
}

function decodeTwice(text: string): string {
	try {
		// A '+' is a space only as long as it is not an encoded plus.
		const once = decodeURIComponent(text.replaceAll("+", " "));
		return decodeURIComponent(once.replaceAll("+", " "));
	} catch (error) {
		throw new DormiceError("invalid_argument", "metadata: it is not encoded as a query string", { cause: error });
	}
}

/** A cursor as the opaque text clients give back. */
export function encodeToken({ startedAt, id }: Pick<Sandbox, "startedAt" | "id">, order: "asc" | "desc"): string {
	const text = `${startedAt.toISOString()}__${id}${order === "asc" ? "__asc" : ""}`;
	return Buffer.from(text).toString("base64url");
}

/** The moment in a token; undefined for what is none, and for years that no row is of: PostgreSQL does not have all of JavaScript's. */
export function decodeMoment(time: string): Date | undefined {
	const moment = new Date(time);
	return /^\d{4}-/.test(time) && !Number.isNaN(moment.getTime()) ? moment : undefined;
}

/** Throws `invalid_argument` for what `encodeToken` did not make. */
export function decodeToken(token: string): Cursor {
	const [time = "", id = ""] = Buffer.from(token, "base64url").toString().split("__");
	const startedAt = decodeMoment(time);
	if (startedAt === undefined || !isId("sandbox", id)) {
		throw new DormiceError("invalid_argument", "Invalid next token");
	}
	return { startedAt, id };
}
