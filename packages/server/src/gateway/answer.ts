import type { IncomingMessage } from "node:http";
import { hasHeader, type RawHeaders, responseHeaders, trailerPairs, withoutHeader } from "./headers.ts";

/** The head of a sandbox's answer, as it may be given to a client. */
export interface AnswerHead {
	status: number;
	/** Empty where the sandbox's own may not be said. */
	phrase: string;
	headers: string[];
}

/** What the answer is for, as far as it decides how it is framed. */
export interface Asked {
	method: string;
	/** `1.1`; what is older knows no chunks. */
	httpVersion: string;
}

/** A guest's answer is no HTTP that can be passed on. The message says what is wrong, for the owner of the application. */
export class NotHttp extends Error {}

/** More than any application sends before its answer; without end they would cost memory and time. */
export const MAX_INFORMATIONAL = 100;

const NO_BODY = new Set([204, 205, 304]);

/** Reads the head of an answer that a guest may have written to do harm. Throws `NotHttp`. Pure. */
export function readAnswer(
	{ statusCode, statusMessage, rawHeaders }: Pick<IncomingMessage, "statusCode" | "statusMessage" | "rawHeaders">,
	asked: Asked,
): AnswerHead {
	const status = statusCode ?? 0;
	if (status < 200 || status > 999) throw new NotHttp(`its status is ${String(status).padStart(3, "0")}`);
	const headers = readHeaders(rawHeaders);
	// Announced trailers need a body in chunks; Node refuses to announce them otherwise.
	const inChunks = asked.method !== "HEAD" && asked.httpVersion === "1.1" && !NO_BODY.has(status);
	const announced = inChunks && !hasHeader(headers, "content-length");
	return {
		status,
		phrase: isText(statusMessage ?? "") ? (statusMessage ?? "") : "",
		headers: announced ? headers : withoutHeader(headers, "trailer"),
	};
}

/**
 * The headers that may be passed on. The parser is lenient, so that answers pass that browsers and curl take; what is written
 * is strict all the same. Throws `NotHttp`.
 */
export function readHeaders(raw: RawHeaders): string[] {
	const headers = responseHeaders(raw);
	for (let i = 0; i + 1 < headers.length; i += 2) {
		const [name = "", value = ""] = [headers[i], headers[i + 1]];
		if (!isToken(name)) throw new NotHttp("a header has a name that is none");
		if (!isText(value)) throw new NotHttp(`its header ${name} has a control character`);
	}
	return headers;
}

/** The trailers of an answer or request that may be passed on. */
export function readTrailers(raw: RawHeaders): [string, string][] {
	return trailerPairs(raw).filter(([name, value]) => isToken(name) && isText(value));
}

function isToken(text: string): boolean {
	return /^[!#$%&'*+.^_`|~0-9a-z-]+$/i.test(text);
}

/** Tabs, and what is printable in Latin-1: all that a header or phrase may hold. */
function isText(text: string): boolean {
	return /^[\t\x20-\x7e\x80-\xff]*$/.test(text);
}
