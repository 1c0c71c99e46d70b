import type { IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { log } from "../log.ts";

const ADDRESSES = ["127.0.0.1", "::1"] as const;

/**
 * `CONNECT 127.0.0.1:<port>`: bytes to and from a server that listens on the loopback only, which the gateway cannot
 * reach by itself.
 */
export async function tunnel(request: IncomingMessage, client: Duplex, head: Buffer): Promise<void> {
	client.on("error", (error) => log("debug", "a tunnel's client failed", { error: error.message }));
	const port = Number(/^(?:127\.0\.0\.1|localhost):(\d{1,5})$/.exec(request.url ?? "")?.[1]);
	if (!(port >= 1 && port <= 65535)) return refuse(client, "400 Bad Request");
	for (const host of ADDRESSES) {
		const server = await open(host, port);
		if (!server) continue;
		join(client, server);
		client.write("HTTP/1.1 200 Connection established\r\n\r\n");
		server.write(head);
		return;
	}
	refuse(client, "502 Bad Gateway");
}

/** Ends a CONNECT with a status and nothing more. */
export function refuse(client: Duplex, status: string): void {
	client.end(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
}

function open(host: string, port: number): Promise<Socket | undefined> {
	return new Promise((resolve) => {
		const socket = connect({ host, port, noDelay: true, allowHalfOpen: true });
		socket.once("connect", () => resolve(socket));
		socket.once("error", () => resolve(undefined));
	});
}

/** Each side's end is passed on; when one breaks, so does the other. */
function join(client: Duplex, server: Socket): void {
	client.pipe(server).pipe(client);
	server.on("error", () => client.destroy());
	client.once("close", () => server.destroy());
	server.once("close", () => client.destroy());
}
