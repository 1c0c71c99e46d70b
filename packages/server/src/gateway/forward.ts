import { type ClientRequest, type IncomingMessage, request, type ServerResponse } from "node:http";
import { GUEST } from "@dormice/protocol";
import type { Logger } from "../log.ts";
import { MAX_INFORMATIONAL, NotHttp, readAnswer, readTrailers } from "./answer.ts";
import { refusalOf } from "./failure.ts";
import { type Forwarding, hasBody, requestHeaders } from "./headers.ts";
import type { Lease } from "./lease.ts";
import { notFound, notHttp, type Refusal, standsStill } from "./refusal.ts";
import { whileSilent } from "./silence.ts";

/** A request on its way, and how to answer when it does not get there. */
export interface Passage {
	req: IncomingMessage;
	res: ServerResponse;
	lease: Lease;
	/** Path and query, for the request line. */
	path: string;
	log: Logger;
	/** It comes from a proxy whose word about the client is believed. */
	behindProxy: boolean;
	/** How long the supervisor may be silent. */
	answerWithinMs: number;
	/** Answers, or ends what was begun of an answer. */
	refuse: (refusal: Refusal) => void;
	/** Called when not even the supervisor answers: something may have happened to the sandbox. */
	suspect: () => void;
}

const SAFE = new Set(["GET", "HEAD", "OPTIONS"]);
/** Of an answer: 64 KiB of headers, and their line ends. */
const MAX_HEADER_BYTES = 80 * 1024;
/** What is still to come of an upload that is answered already is read away for so long; then its connection is ended. */
const READ_AWAY_MS = 3_000;

/**
 * Sends a request to the sandbox and its answer back, both as streams: at no time is more of a body in memory than the
 * sockets' buffers. Whichever side goes away takes the other with it. Throws what keeps it from being sent; the response
 * is then still the caller's to end.
 */
export function forward(passage: Passage): void {
	const { req, res, lease } = passage;
	let upstream: ClientRequest | undefined;
	const release = lease.link.hold(() => {
		upstream?.destroy();
		// Whether the sandbox acted on it cannot be known: only a question that may be asked again gets an answer.
		if (!res.headersSent && SAFE.has(req.method ?? "")) passage.refuse(notFound(lease.sandboxId));
		else res.destroy();
	});
	const heard =
		lease.port === GUEST.supervisorPort
			? whileSilent(lease.link, passage.answerWithinMs, (waitedMs) => {
					passage.refuse(standsStill(lease.sandboxId, waitedMs));
					upstream?.destroy();
				})
			: () => undefined;
	// Every response closes, also one that was refused: what is held here is always given back.
	res.once("close", () => {
		release();
		heard();
		if (!res.writableFinished) upstream?.destroy();
	});
	const again = () => {
		// A kept connection that the sandbox closed just as we reached for it. Nothing was said twice: no body was sent.
		upstream = send(passage, { withBody: false, heard });
	};
	upstream = send(passage, { withBody: hasBody(req.headers), heard, again });
}

/** Begins the same request to the sandbox's port, over the lease's connections. Its body is the caller's to send. */
export function ask(
	{ req, lease, path, behindProxy }: Pick<Passage, "req" | "lease" | "path" | "behindProxy">,
	body: Pick<Forwarding, "chunked" | "upgrade">,
): ClientRequest {
	const { link, port, maskedHost } = lease;
	return request({
		agent: mayReuse(req, port) && body.upgrade === undefined ? link.agent : link.onceAgent,
		// What curl and browsers take is passed on. A guest that confuses this parser confuses its own answers.
		insecureHTTPParser: true,
		host: link.address,
		port,
		method: req.method ?? "GET",
		path,
		maxHeaderSize: MAX_HEADER_BYTES,
		headers: requestHeaders(req.rawHeaders, {
			from: req.socket.remoteAddress ?? "",
			host: req.headers.host ?? "",
			behindProxy,
			maskedHost,
			...body,
		}),
	});
}

/**
 * Whether a request may go over a connection that was used before. The application may be closing that at this moment: what
 * may be asked twice is asked again then. And after an upgrade that was refused, what is still to come is not known.
 */
function mayReuse({ method = "" }: IncomingMessage, port: number): boolean {
	// The supervisor keeps its connections for longer than we do.
	return SAFE.has(method) || port === GUEST.supervisorPort;
}

interface Sending {
	withBody: boolean;
	/** Called once the answer begins. */
	heard: () => void;
	/** Sends the request once more. */
	again?: () => void;
}

function send(passage: Passage, { withBody, heard, again }: Sending): ClientRequest {
	const { req, res } = passage;
	const upstream = ask(passage, { chunked: req.headers["transfer-encoding"] !== undefined });
	// A guest decides what is read here: a mistake costs its own request, never the process.
	const carefully = <Args extends unknown[]>(listener: (...args: Args) => void) =>
		careful(listener, (error) => {
			upstream.destroy();
			passage.refuse(refusalOf(error, passage));
		});

	let settled = false;
	let answered: IncomingMessage | undefined;
	limitInformational(upstream, carefully);
	if (req.headers.expect !== undefined) {
		upstream.once(
			"continue",
			carefully(() => res.writeContinue()),
		);
	}
	upstream.on(
		"response",
		carefully((answer: IncomingMessage) => {
			settled = true;
			answered = answer;
			heard();
			passBack(answer, passage, carefully);
			answer.once("end", () => {
				if (!req.complete) stopUpload(passage, upstream);
			});
		}),
	);
	upstream.on(
		"error",
		carefully((error: Error) => {
			settled = true;
			// It answered before the upload was over, and closed: what it said is whole.
			if (res.writableEnded || answered?.complete) return;
			if (res.headersSent || res.destroyed) res.destroy();
			else if (!withBody && again !== undefined && upstream.reusedSocket && isStale(error)) again();
			else passage.refuse(refusalOf(error, passage));
		}),
	);
	upstream.on("close", () => {
		// Node says neither when a guest switches protocols although it was not asked to.
		if (!settled) passage.refuse(notHttp(passage.lease.sandboxId, passage.lease.port, "it ends before it begins"));
	});
	if (!withBody) upstream.end();
	else {
		if (req.headers.expect !== undefined) upstream.flushHeaders();
		req.on(
			"end",
			carefully(() => upstream.addTrailers(readTrailers(req.rawTrailers))),
		);
		req.on("error", () => upstream.destroy());
		req.pipe(upstream);
	}
	return upstream;
}

type Carefully = <Args extends unknown[]>(listener: (...args: Args) => void) => (...args: Args) => void;

/** A listener whose exception goes to `failed` and not to the event loop. */
export function careful<Args extends unknown[]>(
	listener: (...args: Args) => void,
	failed: (error: unknown) => void,
): (...args: Args) => void {
	return (...args) => {
		try {
			listener(...args);
		} catch (error) {
			failed(error);
		}
	};
}

/** Ends a request whose sandbox answers `1xx` without end. They are read and dropped: none waits in memory for the client. */
export function limitInformational(upstream: ClientRequest, carefully: Carefully): void {
	let count = 0;
	upstream.on(
		"information",
		carefully(() => {
			if (++count === MAX_INFORMATIONAL) throw new NotHttp(`it begins with ${count} informational answers`);
		}),
	);
}

function passBack(answer: IncomingMessage, { req, res }: Passage, carefully: Carefully): void {
	if (res.destroyed) {
		answer.destroy();
		return;
	}
	const { status, phrase, headers } = readAnswer(answer, { method: req.method ?? "GET", httpVersion: req.httpVersion });
	// Only what the application says: no date of ours beside or instead of its own.
	res.sendDate = false;
	res.writeHead(status, phrase, headers);
	// A stream may say nothing for a long time after its head; the head must not wait for it.
	res.flushHeaders();
	answer.on(
		"end",
		carefully(() => {
			if (answer.rawTrailers.length > 0) res.addTrailers(readTrailers(answer.rawTrailers));
		}),
	);
	// Cut off on that side: cut off on this one, so that half an answer is not taken for a whole one.
	answer.on("error", () => res.destroy());
	answer.pipe(res);
}

/** The sandbox has answered an upload that is still under way: nothing more of it is sent, and the client may finish or leave. */
function stopUpload({ req }: Passage, upstream: ClientRequest): void {
	req.unpipe(upstream).resume();
	upstream.destroy();
	const enough = setTimeout(() => req.destroy(), READ_AWAY_MS);
	const over = () => clearTimeout(enough);
	req.once("end", over).once("close", over);
}

function isStale(error: Error): boolean {
	return "code" in error && (error.code === "ECONNRESET" || error.code === "EPIPE");
}
