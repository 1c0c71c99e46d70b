import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Sandbox } from "e2b";
import { TestPlatform } from "./platform.ts";
import { assertQuiet } from "./quiet.ts";
import { FILES, QUEUE_PORT, SERVERS, START } from "./spin-programs.ts";

let platform: TestPlatform;
let sandbox: Sandbox;
const open = new Set<Socket>();

before(async () => {
	platform = await TestPlatform.up();
	const metadata = { "dormice.doze": "always", "dormice.dozeAfterMs": "1000", "dormice.sleepAfterMs": "3600000" };
	sandbox = await Sandbox.create("base", { ...platform.client, timeoutMs: 3_600_000, metadata });
	for (const [path, text] of Object.entries(FILES)) await sandbox.files.write(path, text);
	const start = await sandbox.commands.run(START, { background: true, timeoutMs: 0 });
	for (const port of Object.values(SERVERS)) {
		for (let i = 0; i < 200 && !(await platform.request(sandbox.sandboxId, port)).ok; i++) await sleep(100);
	}
	await start.disconnect();
});
after(async () => {
	for (const socket of open) socket.destroy();
	await sandbox?.kill();
	await platform[Symbol.asyncDispose]();
});

/** What clients may have open to a server at the moment it is put to sleep. */
const CONNECTIONS = {
	"idle, kept": "GET / HTTP/1.1\r\n",
	"a streamed answer": "GET /stream HTTP/1.1\r\n",
	"a half-sent body": "POST / HTTP/1.1\r\nContent-Length: 1000\r\n",
	"a WebSocket": "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
};

/** A connection on which nothing was said yet. */
async function dial(): Promise<Socket> {
	const { hostname, port } = new URL(platform.client.sandboxUrl);
	const socket = connect(Number(port), hostname);
	open.add(socket);
	socket.on("error", () => undefined).once("close", () => open.delete(socket));
	await once(socket.resume(), "connect");
	return socket;
}

/**
 * Opens some of everything to every server, all in one moment, so that event loops find many connections ready at once; then
 * takes every other one away again. What gVisor kept of such connections made programs spin after a wake.
 */
async function connectAll(): Promise<void> {
	for (const socket of open) socket.destroy();
	const wanted = Object.values(SERVERS).flatMap((port) =>
		Object.values(CONNECTIONS).flatMap((head) => Array.from({ length: 4 }, () => ({ port, head }))),
	);
	wanted.push(...[1, 2].map(() => ({ port: QUEUE_PORT, head: CONNECTIONS["idle, kept"] })));
	const sockets = await Promise.all(wanted.map(() => dial()));
	const streams = await Promise.all(
		Array.from({ length: 4 }, () =>
			sandbox.commands.run("sleep 0.3; echo first; sleep 1000", { background: true, timeoutMs: 0 }),
		),
	);
	for (const [i, { port, head }] of wanted.entries()) {
		const address = `Host: localhost\r\nE2b-Sandbox-Id: ${sandbox.sandboxId}\r\nE2b-Sandbox-Port: ${port}\r\n`;
		sockets[i]?.write(`${head}${address}\r\n${head.includes("Length") ? "half" : ""}`);
	}
	await sleep(600);
	for (const [i, socket] of sockets.entries()) if (i % 2 === 0) socket.destroy();
	await Promise.all(streams.filter((_, i) => i % 2 === 0).map((stream) => stream.disconnect()));
	await sleep(400);
}

/** Every server answers, and nothing in the sandbox spins. */
async function assertWell(one: Sandbox, what: string): Promise<void> {
	for (const [name, port] of Object.entries(SERVERS)) {
		const answer = await platform.request(one.sandboxId, port);
		assert.equal(answer.status, 200, `${what}: ${name} answers ${answer.status} ${await answer.text()}`);
	}
	await sleep(1_000);
	await assertQuiet(one, what);
}

async function api<T>(method: string, path: string, body: unknown = {}): Promise<T> {
	const { apiUrl, apiKey } = platform.client;
	const headers = { "x-api-key": apiKey, "content-type": "application/json" };
	const answer = await fetch(`${apiUrl}/sandboxes/${sandbox.sandboxId}${path}`, {
		...{ method, headers },
		...(method === "GET" ? {} : { body: JSON.stringify(body) }),
	});
	assert.ok(answer.ok, `${path}: ${answer.status} ${await answer.clone().text()}`);
	return (await answer.json()) as T;
}

test("awake and left alone, nothing spins", async () => {
	await connectAll();
	await assertWell(sandbox, "before any sleep");
});

test("a doze leaves nothing that spins", async () => {
	await connectAll();
	for (const socket of open) socket.destroy();
	await sleep(4_000);
	await assertWell(sandbox, "after a doze");
});

for (let turn = 1; turn <= 3; turn++) {
	test(`a pause leaves nothing that spins, time ${turn}`, async () => {
		await connectAll();
		await sandbox.pause();
		sandbox = await Sandbox.connect(sandbox.sandboxId, { ...platform.client, timeoutMs: 3_600_000 });
		await assertWell(sandbox, "after a pause");
	});
}

test("a checkpoint leaves nothing that spins in what goes on, nor in what goes back to it", async () => {
	await connectAll();
	const { generationID } = await api<{ generationID: string }>("POST", "/checkpoints", { label: "here" });
	await assertWell(sandbox, "after a checkpoint");
	await connectAll();
	await api("POST", "/rollback", { generationID });
	await assertWell(sandbox, "after a rollback");
});

test("what is made from a snapshot, or by a fork, does not spin, nor does what it was made of", async () => {
	await connectAll();
	const snapshot = await sandbox.createSnapshot();
	const made = await Sandbox.create(snapshot.snapshotId, { ...platform.client, timeoutMs: 600_000 });
	await connectAll();
	const [fork] = await sandbox.fork({ timeoutMs: 600_000 });
	assert.ok(fork instanceof Sandbox, String(fork));
	for (const [one, what] of [
		[sandbox, "what it was made of"],
		[made, "made from a snapshot"],
		[fork, "a fork"],
	] as const) {
		await assertWell(one, what);
	}
	await Promise.all([made.kill(), fork.kill()]);
});
