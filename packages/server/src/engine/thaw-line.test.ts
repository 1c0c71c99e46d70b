import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { DormiceError, serveThawLines } from "@dormice/protocol";
import { ThawLine } from "./thaw-line.ts";

const dir = await mkdtemp(join(tmpdir(), "dormice-"));
after(() => rm(dir, { recursive: true }));

/** An engine's end of the line. */
async function engineAt(socketPath: string, thaw: (id: string) => Promise<unknown>) {
	const connections: Duplex[] = [];
	const server = createServer().on("upgrade", (_, socket: Duplex) => connections.push(socket));
	const endLines = serveThawLines(server, thaw);
	await once(server.listen(socketPath), "listening");
	const close = async () => {
		endLines();
		await new Promise((resolve) => server.close(resolve));
	};
	return { connections, close };
}

const answers = async () => undefined;

test("thaws over one connection, and each caller gets its own answer", async () => {
	const path = join(dir, "answers");
	const engine = await engineAt(path, async (id) => {
		if (id === "igone") throw new DormiceError("sandbox_not_found", "Sandbox igone has\nno processes.");
		await sleep(20);
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
	const first = await engineAt(path, answers);
	const line = new ThawLine(path);
	await line.thaw("ihere", 1_000);
	await first.close();
	const second = await engineAt(path, answers);
	await line.thaw("ihere", 1_000);
	await second.close();
});

test("says a thaw twice at most when the engine hangs up", async () => {
	const path = join(dir, "hangs-up");
	const said: string[] = [];
	const engine = await engineAt(path, async (id) => {
		said.push(id);
		engine.connections.at(-1)?.destroy();
	});
	await assert.rejects(new ThawLine(path).thaw("ihere", 1_000), { reason: "engine_unavailable" });
	assert.deepEqual(said, ["ihere", "ihere"]);
	await engine.close();
});

test("gives up an engine that is silent, or not there", async () => {
	const path = join(dir, "silent");
	await assert.rejects(new ThawLine(path).thaw("ihere", 1_000), { reason: "engine_unavailable" });
	const engine = await engineAt(path, () => new Promise(() => undefined));
	await assert.rejects(new ThawLine(path).thaw("ihere", 50), { reason: "engine_unavailable" });
	await engine.close();
});
