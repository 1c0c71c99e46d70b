import type { Server } from "node:http";
import type { Duplex } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import { fromConnectError } from "./connect-errors.ts";

/**
 * The wire of the verb that somebody's request waits for. A connection to the engine's socket is upgraded once and kept;
 * over it thaws are lines: `TAG SANDBOX_ID`, answered by `TAG`, or `TAG REASON MESSAGE`, each when it is ready. Between
 * two processes that were idle for a second an HTTP request takes 2.6 ms, a line 0.6.
 */
export const THAW_LINE = { path: "/dormice.engine.Engine/ThawLine", upgrade: "dormice-thaw", maxBytes: 1024 } as const;

const WELCOME = `HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: ${THAW_LINE.upgrade}\r\n\r\n`;

/** The engine's end: answers thaws by lines on connections that ask for that. Call what it returns to end them. */
export function serveThawLines(server: Server, thaw: (sandboxId: string) => Promise<unknown>): () => void {
	const lines = new Set<Duplex>();
	server.on("upgrade", (request, socket) => {
		socket.on("error", () => undefined);
		if (request.url !== THAW_LINE.path || request.headers.upgrade !== THAW_LINE.upgrade) {
			socket.end("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
			return;
		}
		lines.add(socket);
		socket.on("close", () => lines.delete(socket));
		socket.write(WELCOME);
		const answer = async (line: string) => {
			const [tag = "", id = ""] = line.split(" ");
			const said = await thaw(id).then(() => "", refusal);
			if (!socket.destroyed) socket.write(`${tag}${said}\n`);
		};
		readThawLines(socket, (line) => void answer(line));
	});
	return () => {
		for (const line of lines) line.destroy();
	};
}

function refusal(error: unknown): string {
	const { reason, message } = fromConnectError(error, "internal");
	return ` ${reason} ${message.replaceAll("\n", " ").slice(0, THAW_LINE.maxBytes / 2)}`;
}

/** Calls back with each line that comes over a connection, and closes it when one is too long. */
export function readThawLines(connection: Duplex, onLine: (line: string) => void): void {
	const { maxBytes } = THAW_LINE;
	const decoder = new StringDecoder("utf8");
	let begun = "";
	connection.on("data", (chunk: Buffer) => {
		const lines = (begun + decoder.write(chunk)).split("\n");
		if (lines.some(({ length }) => length > maxBytes))
			connection.destroy(new Error(`a line of over ${maxBytes} bytes`));
		if (connection.destroyed) return;
		begun = lines.pop() ?? "";
		for (const line of lines) onLine(line);
	});
}
