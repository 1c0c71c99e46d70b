import type { IncomingMessage } from "node:http";
import { DormiceError, GUEST } from "@dormice/protocol";

/** Why a request does not reach its sandbox, in the words E2B's clients know. */
export interface Refusal {
	status: number;
	message: string;
	/** Further fields of the JSON body. */
	fields?: Record<string, string | number>;
	/** After how many seconds trying again makes sense. */
	retryAfterSeconds?: number;
}

/** Unknown, killed, or asleep without auto-resume. Clients take exactly 502 as "it is not running". */
export function notFound(sandboxId: string): Refusal {
	return { status: 502, message: "The sandbox was not found", fields: { sandboxId } };
}

export function portClosed(sandboxId: string, port: number): Refusal {
	return { status: 502, message: "The sandbox is running but port is not open", fields: { sandboxId, port } };
}

/** Something listens there, and hung up before it answered. */
export function noAnswer(sandboxId: string, port: number): Refusal {
	const message = `The application on port ${port} closed the connection before it answered`;
	return { status: 502, message, fields: { sandboxId, port } };
}

/** The application answered something that cannot be passed on. */
export function notHttp(sandboxId: string, port: number, why: string): Refusal {
	return { status: 502, message: `The answer from port ${port} is not HTTP: ${why}`, fields: { sandboxId, port } };
}

/** The supervisor is there and does not answer: whoever is root inside may have stopped it. */
export function standsStill(sandboxId: string, waitedMs: number): Refusal {
	const seconds = Math.round(waitedMs / 1000);
	const message = `The sandbox's supervisor has not answered for ${seconds} s: it may have been stopped from inside. Kill the sandbox, or roll it back.`;
	return { status: 504, message, fields: { sandboxId, reason: "guest_unhealthy" } };
}

export function transitioning(sandboxId: string): Refusal {
	return {
		status: 409,
		message: "The sandbox is still transitioning. Try again in a moment.",
		fields: { sandboxId },
	};
}

export function tokenMissing(sandboxId: string): Refusal {
	const message = `Sandbox is secured with traffic access token. Token header '${TRAFFIC_TOKEN}' is missing`;
	return { status: 403, message, fields: { sandboxId } };
}

export function tokenInvalid(sandboxId: string): Refusal {
	const message = `Sandbox is secured with traffic access token. Provided token in header '${TRAFFIC_TOKEN}' is invalid`;
	return { status: 403, message, fields: { sandboxId } };
}

export function resumeRefused(sandboxId: string): Refusal {
	return {
		status: 403,
		message: `The sandbox is paused, and only requests with its access token may resume it through port ${GUEST.supervisorPort}`,
		fields: { sandboxId },
	};
}

export function tooManyConnections(sandboxId: string, connectionLimit: number): Refusal {
	return {
		status: 429,
		message: "Too many connections to this sandbox",
		fields: { sandboxId, connectionLimit },
		retryAfterSeconds: 1,
	};
}

export function badAddress(message: string): Refusal {
	return { status: 400, message };
}

/** A failure on the way. 5xx of our own making name no internals. */
export function failed(sandboxId: string, error: unknown): Refusal {
	if (error instanceof DormiceError) {
		const { reason, status, message } = error;
		if (reason === "state_conflict") return transitioning(sandboxId);
		if (reason === "sandbox_not_found") return notFound(sandboxId);
		const told = reason === "internal" ? "Internal error" : message;
		return {
			status,
			message: told,
			fields: { sandboxId, reason },
			...(status === 503 || status === 429 ? { retryAfterSeconds: error.retryAfterSeconds ?? 1 } : {}),
		};
	}
	return { status: 500, message: "Internal error", fields: { sandboxId, reason: "internal" } };
}

export const TRAFFIC_TOKEN = "e2b-traffic-access-token";

/** A refusal as it goes over the wire: a page for a person, JSON for everybody else. */
export function render(refusal: Refusal, req: IncomingMessage): { headers: Record<string, string>; body: string } {
	const { message, status, fields, retryAfterSeconds } = refusal;
	const page = isNavigation(req);
	const body = page ? html(status, message) : JSON.stringify({ ...fields, message, code: status });
	return {
		body,
		headers: {
			"content-type": page ? "text/html; charset=utf-8" : "application/json; charset=utf-8",
			"content-length": String(Buffer.byteLength(body)),
			"access-control-allow-origin": "*",
			...(retryAfterSeconds === undefined ? {} : { "retry-after": String(retryAfterSeconds) }),
		},
	};
}

function isNavigation({ method, headers }: IncomingMessage): boolean {
	if (method !== "GET" || !/^Mozilla\//.test(headers["user-agent"] ?? "")) return false;
	const mode = headers["sec-fetch-mode"];
	return mode === undefined ? /\btext\/html\b/.test(headers.accept ?? "") : mode === "navigate";
}

function html(status: number, message: string): string {
	const text = message.replace(/[<>&"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
	return `<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${status}</title><body style="font:16px/1.5 system-ui;margin:20vh auto;max-width:32em;padding:0 1em">
<h1 style="font-size:1.2em">${text}</h1><p style="color:#777">${status} · Dormice</p>
`;
}
