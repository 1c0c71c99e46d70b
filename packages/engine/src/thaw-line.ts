import type { Server } from "node:http";
import type { Duplex } from "node:stream";
import { DormiceError, readLines, THAW_LINE } from "@dormice/protocol";
import type { Host } from "./host.ts";
import { log } from "./log.ts";
import type { Queue } from "./queue.ts";
import { thaw } from "./sandboxes/freeze.ts";
import { checkId } from "./validate.ts";

/** Answers thaws by lines, on connections that ask for that; `Thaw` of the service is the same verb. Call what it returns to end them. */
export function serveThawLines(server: Server, host: Host, queue: Queue): () => void {
	const lines = new Set<Duplex>();
	server.on("upgrade", (request, socket) => {
		socket.on("error", (error) => log.info({ err: error }, "a thaw line broke"));
		if (request.url !== THAW_LINE.path || request.headers.upgrade !== THAW_LINE.upgrade) {
			socket.end("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
			return;
		}
		lines.add(socket);
		socket.on("close", () => lines.delete(socket));
		socket.write(`HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: ${THAW_LINE.upgrade}\r\n\r\n`);
		const answer = async (line: string) => {
			const [tag = "", id = ""] = line.split(" ");
			const said = await thawed(host, queue, id);
			if (!socket.destroyed) socket.write(`${tag}${said}\n`);
		};
		readLines(socket, THAW_LINE.maxBytes, (line) => void answer(line));
	});
	return () => {
		for (const line of lines) line.destroy();
	};
}

async function thawed(host: Host, queue: Queue, sandboxId: string): Promise<string> {
	try {
		const id = checkId("sandbox", sandboxId);
		await queue.run(id, () => thaw(host, id));
		return "";
	} catch (error) {
		const { reason, status, message } =
			error instanceof DormiceError ? error : new DormiceError("internal", String(error));
		log[status < 500 ? "info" : "error"]({ err: error, verb: "Thaw" }, "a verb failed");
		return ` ${reason} ${message.replaceAll("\n", " ").slice(0, THAW_LINE.maxBytes / 2)}`;
	}
}
