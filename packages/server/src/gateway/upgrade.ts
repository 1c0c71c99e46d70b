import type { ClientRequest, IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { NotHttp, readAnswer, readHeaders } from "./answer.ts";
import { refusalOf } from "./failure.ts";
import { ask, careful, limitInformational, type Passage } from "./forward.ts";
import { rawHead, withoutHeader } from "./headers.ts";

export interface Switch extends Omit<Passage, "res" | "answerWithinMs"> {
	/** The client's connection, no longer HTTP's. */
	client: Duplex;
	/** What it sent already after its head. */
	head: Buffer;
}

/** Passes an upgrade on, and from then on bytes, both ways, until either side ends. Throws what keeps it from being sent. */
export function forwardUpgrade(passage: Switch): void {
	const { req, client, head, refuse } = passage;
	const upstream = ask(passage, { chunked: false, upgrade: req.headers.upgrade });
	let begun = false;
	const fail = (error: unknown) => {
		upstream.destroy();
		// An answer that has begun can only be cut short.
		if (begun) client.destroy();
		else if (!client.destroyed) refuse(refusalOf(error, passage));
	};
	const carefully = <Args extends unknown[]>(listener: (...args: Args) => void) => careful(listener, fail);
	upstream.on("error", fail);
	const release = hold(passage, upstream);
	client.once("close", () => {
		release();
		upstream.destroy();
	});
	client.on("error", () => upstream.destroy());
	limitInformational(upstream, carefully);
	upstream.on(
		"upgrade",
		carefully((answer: IncomingMessage, sandbox: Duplex, sandboxHead: Buffer) => {
			// The agent has let go of this connection; the link ends it, or what is wrong with the answer does.
			client.once("close", () => sandbox.destroy());
			const headers = [...withoutHeader(readHeaders(answer.rawHeaders), "content-length"), "Connection", "Upgrade"];
			headers.push("Upgrade", readProtocol(answer.headers.upgrade));
			begun = true;
			client.write(rawHead("101 Switching Protocols", headers), "latin1");
			if (sandboxHead.length > 0) client.write(sandboxHead);
			if (head.length > 0) sandbox.write(head);
			join(client, sandbox);
		}),
	);
	upstream.on(
		"response",
		carefully((answer: IncomingMessage) => {
			// It would not switch: its answer is passed on, and the connection ends with it.
			const { status, phrase, headers } = readAnswer(answer, { method: req.method ?? "GET", httpVersion: "1.0" });
			begun = true;
			client.write(rawHead(`${status} ${phrase}`, [...headers, "Connection", "close"]), "latin1");
			answer.on("error", () => client.destroy());
			answer.pipe(client);
		}),
	);
	upstream.end();
}

/** The protocol that a sandbox switches to. Throws `NotHttp`. */
function readProtocol(text = ""): string {
	if (/^[\x21-\x7e][\x20-\x7e]*$/.test(text)) return text;
	throw new NotHttp("it switches to a protocol without a name");
}

/** Ends both sides when the link closes. Throws where it is closed already: what was asked is then taken back. */
function hold({ lease, client }: Switch, upstream: ClientRequest): () => void {
	try {
		return lease.link.hold(() => {
			client.destroy();
			upstream.destroy();
		});
	} catch (error) {
		upstream.destroy();
		throw error;
	}
}

function join(a: Duplex, b: Duplex): void {
	for (const [from, to] of [
		[a, b],
		[b, a],
	] as const) {
		from.pipe(to);
		from.on("error", () => to.destroy());
		// One that ended in good order has told `to` so, and what is still on its way there arrives.
		from.once("close", () => {
			if (!from.readableEnded) to.destroy();
		});
	}
}
