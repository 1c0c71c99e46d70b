import { type ClientRequest, type IncomingMessage, request, type ServerResponse } from "node:http";
import { GUEST } from "@dormice/protocol";
import type { Logger } from "../log.ts";
import { type Forwarding, requestHeaders, responseHeaders, trailerPairs } from "./headers.ts";
import type { Lease } from "./lease.ts";
import { failed, notFound, portClosed, type Refusal } from "./refusal.ts";

/** A request on its way, and how to answer when it does not get there. */
export interface Passage {
	req: IncomingMessage;
	res: ServerResponse;
	lease: Lease;
	/** Path and query, for the request line. */
	path: string;
	log: Logger;
	refuse: (refusal: Refusal) => void;
	/** Called when not even the supervisor answers: something may have happened to the sandbox. */
	suspect: () => void;
}

const SAFE = new Set(["GET", "HEAD", "OPTIONS"]);

/**
 * Sends a request to the sandbox and its answer back, both as streams: at no time is more of a body in memory than the
 * sockets' buffers. Whichever side goes away takes the other with it.
 */
export function forward(passage: Passage): void {
	const { req, res, lease } = passage;
	const hasBody = req.headers["transfer-encoding"] !== undefined || (req.headers["content-length"] ?? "0") !== "0";
	const release = lease.link.hold(() => {
		upstream.destroy();
		// Whether the sandbox acted on it nobody knows: only a question that may be asked again gets an answer.
		if (!res.headersSent && SAFE.has(req.method ?? "")) passage.refuse(notFound(lease.sandboxId));
		else res.destroy();
	});
	let upstream = send(passage, hasBody, () => {
		// A kept connection that the sandbox closed just as we reached for it. Nothing was said twice: no body was sent.
		upstream = send(passage, false, undefined);
	});
	res.once("close", () => {
		release();
		if (!res.writableFinished) upstream.destroy();
	});
}

/** Begins the same request to the sandbox's port, over the lease's connections. Its body is the caller's to send. */
export function ask(
	{ req, lease, path }: Pick<Passage, "req" | "lease" | "path">,
	body: Pick<Forwarding, "chunked" | "upgrade">,
): ClientRequest {
	return request({
		agent: lease.link.agent,
		host: lease.link.address,
		port: lease.port,
		method: req.method ?? "GET",
		path,
		headers: requestHeaders(req.rawHeaders, {
			from: req.socket.remoteAddress ?? "",
			host: req.headers.host ?? "",
			maskedHost: lease.maskedHost,
			...body,
		}),
	});
}

function send(passage: Passage, hasBody: boolean, again: (() => void) | undefined): ClientRequest {
	const { req, res } = passage;
	const upstream = ask(passage, { chunked: req.headers["transfer-encoding"] !== undefined });

	upstream.on("continue", () => res.writeContinue());
	upstream.on("response", (answer) => passBack(answer, res));
	upstream.on("error", (error) => {
		if (res.writableEnded) return;
		if (res.headersSent || res.destroyed) res.destroy();
		else if (!hasBody && again !== undefined && upstream.reusedSocket && isStale(error)) again();
		else passage.refuse(refusalOf(error, passage));
	});
	if (!hasBody) upstream.end();
	else {
		if (req.headers.expect !== undefined) upstream.flushHeaders();
		req.on("end", () => upstream.addTrailers(trailerPairs(req.rawTrailers)));
		req.on("error", () => upstream.destroy());
		req.pipe(upstream);
	}
	return upstream;
}

function passBack(answer: IncomingMessage, res: ServerResponse): void {
	if (res.destroyed) {
		answer.destroy();
		return;
	}
	// Only what the application says: no date of ours beside or instead of its own.
	res.sendDate = false;
	res.writeHead(answer.statusCode ?? 502, answer.statusMessage, responseHeaders(answer.rawHeaders));
	// A stream may say nothing for a long time after its head; the head must not wait for it.
	res.flushHeaders();
	answer.on("end", () => {
		if (answer.rawTrailers.length > 0) res.addTrailers(trailerPairs(answer.rawTrailers));
	});
	// Cut off on that side: cut off on this one, so that nobody takes half an answer for a whole one.
	answer.on("error", () => res.destroy());
	answer.pipe(res);
}

function isStale(error: Error): boolean {
	return "code" in error && (error.code === "ECONNRESET" || error.code === "EPIPE");
}

/** An answer that never began, as a refusal. */
export function refusalOf(error: unknown, passage: Pick<Passage, "lease" | "log" | "suspect">): Refusal {
	const { lease, log, suspect } = passage;
	const { sandboxId, port, link } = lease;
	if (link.closed) return failed(sandboxId, error);
	log.debug({ err: error, sandbox: sandboxId, port }, "the sandbox did not answer");
	if (port === GUEST.supervisorPort) suspect();
	return portClosed(sandboxId, port);
}
