import type { IncomingHttpHeaders } from "node:http";

/** What part of a file a request gets. `end` is inclusive. */
export type Selection =
	| { readonly kind: "whole" }
	| { readonly kind: "part"; readonly start: number; readonly end: number }
	| { readonly kind: "unsatisfiable" }
	| { readonly kind: "not_modified" }
	| { readonly kind: "precondition_failed" };

const WHOLE: Selection = { kind: "whole" };

/** Whether the request asks for anything but the plain whole, which is then answered without compression. */
export function isConditional(headers: IncomingHttpHeaders): boolean {
	return Object.keys(headers).some((name) => name === "range" || name.startsWith("if-"));
}

/** RFC 9110's conditions and a single range. There are no entity tags here, so none matches but `*`. */
export function select(headers: IncomingHttpHeaders, file: { size: number; modifiedAtMs: number }): Selection {
	// HTTP dates have no fractions of a second.
	const modified = Math.floor(file.modifiedAtMs / 1000) * 1000;
	const ifMatch = headers["if-match"];
	const unmodifiedSince = date(headers["if-unmodified-since"]);
	if (ifMatch !== undefined ? ifMatch.trim() !== "*" : unmodifiedSince !== undefined && modified > unmodifiedSince) {
		return { kind: "precondition_failed" };
	}
	const ifNoneMatch = headers["if-none-match"];
	const modifiedSince = date(headers["if-modified-since"]);
	if (
		ifNoneMatch !== undefined ? ifNoneMatch.trim() === "*" : modifiedSince !== undefined && modified <= modifiedSince
	) {
		return { kind: "not_modified" };
	}
	const ifRange = headers["if-range"];
	if (headers.range === undefined) return WHOLE;
	if (ifRange !== undefined && date(String(ifRange)) !== modified) return WHOLE;
	return parseRange(headers.range, file.size);
}

function parseRange(range: string, size: number): Selection {
	const match = /^bytes=(\d*)-(\d*)$/.exec(range);
	// Several ranges, other units, nonsense: a server may answer with the whole.
	if (!match || (match[1] === "" && match[2] === "")) return WHOLE;
	const start = match[1] === "" ? Math.max(0, size - Number(match[2])) : Number(match[1]);
	const end = match[1] === "" || match[2] === "" ? size - 1 : Math.min(Number(match[2]), size - 1);
	if (match[1] !== "" && match[2] !== "" && Number(match[2]) < start) return WHOLE;
	return start >= size ? { kind: "unsatisfiable" } : { kind: "part", start, end };
}

function date(text: string | undefined): number | undefined {
	const value = Date.parse(text ?? "");
	return Number.isNaN(value) ? undefined : value;
}
