import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { after, test } from "node:test";
import { THAW_LINE } from "@dormice/protocol";
import { ThawLine } from "./thaw-line.ts";

const dir = await mkdtemp(join(tmpdir(), "dormice-"));
after(() => rm(dir, { recursive: true }));

/** An engine's end of the line, which answers as it is told; "hang up" closes the connection. */
async function engineAt(socketPath: string, answer: (line: string) => string) {
	const connections: Duplex[] = [];
	const server = createServer().on("upgrade", (_, socket: Duplex) => {
		connections.push(socket);
		socket.write(`HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: ${THAW_LINE.upgrade}\r\n\r\n`);
		socket.on("data", (lines: Buffer) => {
			for (const line of lines.toString().trim().split("\n")) {
				const said = answer(line);
				if (said === "hang up") socket.destroy();
				else socket.write(said);
			}
		});
	});
	await once(server.listen(socketPath), "listening");
	const close = async () => {
		for (const connection of connections) connection.destroy();
		await new Promise((resolve) => server.close(resolve));
	};
	return { connections, close };
}

test("thaws over one connection, and each caller gets its own answer", async () => {
	const path = join(dir, "answers");
	const engine = await engineAt(path, (line) => {
		const [tag, id] = line.split(" ");
		return id === "igone" ? `${tag} sandbox_not_found Sandbox igone has no processes.\n` : `${tag}\n`;
	});
	const line = new ThawLine(path);
	const [here, gone] = await Promise.allSettled([line.thaw("ihere", 1_000), line.thaw("igone", 1_000)]);
	assert.equal(here.status, "fulfilled");
	assert.equal(gone.status, "rejected");
	assert.equal(gone.reason.reason, "sandbox_not_found");
	assert.equal(gone.reason.message, "Sandbox igone has no processes.");
	assert.equal(engine.connections.length, 1);
	await engine.close();
});

test("goes on with an engine that started anew", async () => {
	const path = join(dir, "anew");
	const first = await engineAt(path, (line) => `${line.split(" ")[0]}\n`);
	const line = new ThawLine(path);
	await line.thaw("ihere", 1_000);
	await first.close();
	const second = await engineAt(path, (said) => `${said.split(" ")[0]}\n`);
	await line.thaw("ihere", 1_000);
	await second.close();
});

test("says a thaw twice at most when the engine hangs up", async () => {
	const path = join(dir, "hangs-up");
	const said: string[] = [];
	const engine = await engineAt(path, (line) => {
		said.push(line);
		return "hang up";
	});
	await assert.rejects(new ThawLine(path).thaw("ihere", 1_000), { reason: "engine_unavailable" });
	assert.deepEqual(said, ["0 ihere", "1 ihere"]);
	await engine.close();
});

test("gives up an engine that is silent, or not there", async () => {
	const path = join(dir, "silent");
	await assert.rejects(new ThawLine(path).thaw("ihere", 1_000), { reason: "engine_unavailable" });
	const engine = await engineAt(path, () => "");
	await assert.rejects(new ThawLine(path).thaw("ihere", 50), { reason: "engine_unavailable" });
	await engine.close();
});
