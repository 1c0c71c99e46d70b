import { DormiceError, isReason, type Reason } from "@dormice/protocol";
import { fromWire } from "./words.ts";

/** How to reach a platform. */
export interface ClientOptions {
	/** The key that `dormice env` prints. */
	apiKey: string;
	/** Base address of the API, such as `http://127.0.0.1:3999`. */
	url: string;
	/** Base address of the sandboxes' traffic; the API's own when it is not given. */
	sandboxUrl?: string;
	/** Replaces the runtime's `fetch`. */
	fetch?: typeof globalThis.fetch;
}

/** The resolved {@link ClientOptions}, shared by everything one client makes. */
export type Endpoint = Required<ClientOptions>;

export interface CallOptions {
	body?: unknown;
	query?: Record<string, string | undefined>;
	signal?: AbortSignal;
}

/** One call of the REST API. Answers the parsed body (`undefined` for none) and the response, or throws a `DormiceError`. */
export async function call(
	endpoint: Endpoint,
	method: string,
	path: string,
	{ body, query, signal }: CallOptions = {},
): Promise<{ body: unknown; response: Response }> {
	const url = new URL(endpoint.url.replace(/\/$/, "") + path);
	for (const [name, value] of Object.entries(query ?? {})) {
		if (value !== undefined) url.searchParams.set(name, value);
	}
	const response = await send(endpoint, url, {
		method,
		headers: {
			"X-API-Key": endpoint.apiKey,
			...(body === undefined ? {} : { "Content-Type": "application/json" }),
		},
		...(body === undefined ? {} : { body: JSON.stringify(body) }),
		...(signal ? { signal } : {}),
	});
	if (!response.ok) throw await refusal(response, `${method} ${path}`);
	const text = await response.text();
	return { body: text === "" ? undefined : fromWire(JSON.parse(text)), response };
}

/** `fetch`, with a failure to connect turned into a sentence that names the address. */
export async function send(endpoint: Endpoint, url: URL, init: RequestInit): Promise<Response> {
	try {
		return await endpoint.fetch(url, init);
	} catch (cause) {
		if (init.signal?.aborted) throw cause;
		throw new DormiceError("not_set_up", `No platform answers at ${url.origin}; start one with: dormice up`, {
			cause,
		});
	}
}

/**
 * The `DormiceError` for a refusing response: its own reason when its body carries one, or its header where the body is
 * E2B's to the letter; else the nearest by status.
 */
export async function refusal(response: Response, what: string): Promise<DormiceError> {
	const text = await response.text();
	const body = parseObject(text);
	const message = typeof body.message === "string" ? body.message : text.slice(0, 200) || response.statusText;
	return new DormiceError(
		reasonOf(body.reason ?? response.headers.get("dormice-reason"), response.status, body),
		`${message.replace(/\.?$/, ".")} (${what}: ${response.status})`,
	);
}

/** What a bare status means, for answers of proxies and other servers that give no reason. */
const REASON_OF_STATUS: Record<number, Reason> = {
	400: "invalid_argument",
	401: "unauthenticated",
	403: "permission_denied",
	404: "sandbox_not_found",
	405: "method_not_allowed",
	409: "state_conflict",
	413: "body_too_large",
	416: "output_out_of_range",
	429: "capacity_unavailable",
	501: "not_implemented",
	503: "engine_unavailable",
	504: "deadline_exceeded",
	507: "disk_full",
};

function reasonOf(given: unknown, status: number, body: Record<string, unknown>): Reason {
	if (typeof given === "string" && isReason(given)) return given;
	// The gateway's word for a sandbox that is gone or paused.
	if (status === 502 && "sandboxId" in body) return "sandbox_not_found";
	return REASON_OF_STATUS[status] ?? "internal";
}

function parseObject(text: string): Record<string, unknown> {
	try {
		const parsed: unknown = JSON.parse(text);
		return typeof parsed === "object" && parsed !== null ? { ...parsed } : {};
	} catch {
		return {};
	}
}
