import type { IncomingHttpHeaders } from "node:http";

/** Header lines as node has them: name, value, name, value, in the order and spelling of the wire. */
export type RawHeaders = readonly string[];

/** Belong to one connection and not to the message. `transfer-encoding` is made anew from how the body travels. */
const HOP_BY_HOP = new Set([
	"connection",
	"keep-alive",
	"proxy-connection",
	"proxy-authenticate",
	"proxy-authorization",
	"te",
	"transfer-encoding",
	"upgrade",
]);

/** Must arrive whatever the `Connection` header says of them: they frame and address the message. */
const NEVER_DROPPED = new Set(["content-length", "host", "cookie", "authorization"]);

export interface Forwarding {
	/** Who asked us, an IP address. */
	from: string;
	/** The `Host` it asked for. */
	host: string;
	/** Whoever asked us is a trusted proxy: what it says of its client is passed on. */
	behindProxy: boolean;
	/** What the application sees as `Host` instead. */
	maskedHost: string | undefined;
	/** The body comes in chunks of unknown total length. */
	chunked: boolean;
	/** The protocol to switch to, for an upgrade. */
	upgrade?: string | undefined;
}

/** The headers of a client's request → those of ours to the sandbox. */
export function requestHeaders(
	raw: RawHeaders,
	{ from, host, behindProxy, maskedHost, chunked, upgrade }: Forwarding,
): string[] {
	const dropped = hopByHop(raw);
	const headers: string[] = [];
	let forwardedFor = from;
	let forwardedHost = host;
	let proto = "http";
	for (const [name, value] of pairs(raw)) {
		const key = name.toLowerCase();
		if (key === "x-forwarded-for") forwardedFor = behindProxy ? `${value}, ${from}` : from;
		else if (key === "x-forwarded-proto") proto = behindProxy ? value : proto;
		else if (key === "x-forwarded-host") forwardedHost = behindProxy ? value : host;
		else if (key === "host") headers.push(name, maskedHost ?? value);
		// Trailers are passed on, so the wish for them is too.
		else if (key === "te" && /\btrailers\b/i.test(value)) headers.push(name, "trailers");
		// Said of a body that is not sent, or not in chunks, they would be false.
		else if (key === "content-length" && upgrade !== undefined) continue;
		else if (key === "trailer" && !chunked) continue;
		else if (!dropped.has(key)) headers.push(name, value);
	}
	headers.push("X-Forwarded-For", forwardedFor, "X-Forwarded-Host", forwardedHost, "X-Forwarded-Proto", proto);
	if (chunked) headers.push("Transfer-Encoding", "chunked");
	if (upgrade === undefined) headers.push("Connection", "keep-alive");
	else headers.push("Connection", "Upgrade", "Upgrade", upgrade);
	return headers;
}

/** The headers of the sandbox's answer → those of ours to the client. */
export function responseHeaders(raw: RawHeaders): string[] {
	const dropped = hopByHop(raw);
	// Beside chunks a length counts for nothing, and would be false.
	const isChunked = hasHeader(raw, "transfer-encoding");
	const headers: string[] = [];
	for (const [name, value] of pairs(raw)) {
		const key = name.toLowerCase();
		if (!dropped.has(key) && !(isChunked && key === "content-length")) headers.push(name, value);
	}
	return headers;
}

/** Whether a request comes with a body. */
export function hasBody(headers: IncomingHttpHeaders): boolean {
	return headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
}

export function hasHeader(raw: RawHeaders, name: string): boolean {
	return raw.some((text, i) => i % 2 === 0 && text.toLowerCase() === name);
}

export function withoutHeader(raw: RawHeaders, name: string): string[] {
	return raw.filter((_, i) => raw[i - (i % 2)]?.toLowerCase() !== name);
}

/** Trailers as `addTrailers` takes them. */
export function trailerPairs(raw: RawHeaders): [string, string][] {
	return [...pairs(raw)];
}

/** A head as it is written by hand when a connection is no longer HTTP's. */
export function rawHead(statusLine: string, headers: RawHeaders): string {
	let head = `HTTP/1.1 ${statusLine}\r\n`;
	for (const [name, value] of pairs(headers)) head += `${name}: ${value}\r\n`;
	return `${head}\r\n`;
}

function* pairs(raw: RawHeaders): Generator<[string, string]> {
	for (let i = 0; i + 1 < raw.length; i += 2) yield [raw[i] ?? "", raw[i + 1] ?? ""];
}

function hopByHop(raw: RawHeaders): ReadonlySet<string> {
	let named: Set<string> | undefined;
	for (const [name, value] of pairs(raw)) {
		if (name.toLowerCase() !== "connection") continue;
		for (const token of value.toLowerCase().split(",")) {
			const own = token.trim();
			if (own === "" || HOP_BY_HOP.has(own) || NEVER_DROPPED.has(own)) continue;
			named ??= new Set(HOP_BY_HOP);
			named.add(own);
		}
	}
	return named ?? HOP_BY_HOP;
}
