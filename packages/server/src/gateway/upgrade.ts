import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Logger } from "../log.ts";
import { ask, refusalOf } from "./forward.ts";
import { rawHead, responseHeaders } from "./headers.ts";
import type { Lease } from "./lease.ts";
import type { Refusal } from "./refusal.ts";

export interface Switch {
	req: IncomingMessage;
	/** The client's connection, no longer HTTP's. */
	client: Duplex;
	/** What it sent already after its head. */
	head: Buffer;
	lease: Lease;
	path: string;
	log: Logger;
	refuse: (refusal: Refusal) => void;
	suspect: () => void;
}

/** Passes an upgrade on, and from then on bytes, both ways, until either side ends. */
export function forwardUpgrade(passage: Switch): void {
	const { req, client, head, lease, refuse } = passage;
	const upstream = ask(passage, { chunked: false, upgrade: req.headers.upgrade });

	const release = lease.link.hold(() => {
		client.destroy();
		upstream.destroy();
	});
	client.once("close", () => {
		release();
		upstream.destroy();
	});
	client.on("error", () => upstream.destroy());
	upstream.on("upgrade", (answer, sandbox, sandboxHead) => {
		// The agent has let go of this connection; the link still ends it.
		const headers = [...responseHeaders(answer.rawHeaders), "Connection", "Upgrade"];
		if (answer.headers.upgrade !== undefined) headers.push("Upgrade", answer.headers.upgrade);
		client.write(rawHead(`101 ${answer.statusMessage || "Switching Protocols"}`, headers));
		if (sandboxHead.length > 0) client.write(sandboxHead);
		if (head.length > 0) sandbox.write(head);
		join(client, sandbox);
	});
	upstream.on("response", (answer) => {
		// It would not switch: its answer is passed on, and the connection ends with it.
		const headers = [...responseHeaders(answer.rawHeaders), "Connection", "close"];
		client.write(rawHead(`${answer.statusCode ?? 502} ${answer.statusMessage ?? ""}`, headers));
		answer.on("error", () => client.destroy());
		answer.pipe(client);
	});
	upstream.on("error", (error) => {
		if (!client.destroyed) refuse(refusalOf(error, passage));
	});
	upstream.end();
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
