import assert from "node:assert/strict";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { createServer, type Socket } from "node:net";
import { after, before, suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Sandbox } from "e2b";
import { TestPlatform } from "../testing/platform.ts";

const PORT = 7071;

/** What applications do that no library would. */
suite("unusual applications", () => {
	let platform: TestPlatform;
	let id = "";
	let answer: (socket: Socket, head: string) => void = () => undefined;
	before(async () => {
		platform = await TestPlatform.open();
		id = (await Sandbox.create({ ...platform.e2b, timeoutMs: 600_000 })).sandboxId;
		const server = createServer((socket) => {
			socket.on("error", () => socket.destroy()).once("data", (bytes) => answer(socket, String(bytes)));
		});
		server.unref().listen(PORT, platform.engine.guest(id).address);
		await once(server, "listening");
	});
	after(() => platform[Symbol.asyncDispose]());

	const cookies = Array.from({ length: 20 }, (_, i) => `Set-Cookie: c${i}=${"x".repeat(1000)}\r\n`).join("");
	const long = `X-Long: ${"y".repeat(64_000)}\r\n`;
	for (const [what, bytes, status, body] of [
		["bare line feeds", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 200, "ok"],
		["a netcat one-liner", "HTTP/1.1 200 OK\n\nok\n", 200, "ok\n"],
		["a netcat one-liner of HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nok", 200, "ok"],
		["no phrase", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", 200, "ok"],
		["20 kB of cookies", `HTTP/1.1 200 OK\r\n${cookies}Content-Length: 2\r\n\r\nok`, 200, "ok"],
		["a header of 64 kB", `HTTP/1.1 200 OK\r\n${long}Content-Length: 2\r\n\r\nok`, 200, "ok"],
		["a folded header", "HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\nContent-Length: 2\r\n\r\nok", 200, "ok"],
		[
			"chunks and a length",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n2\r\nok\r\n0\r\n\r\n",
			200,
			"ok",
		],
		["a header too long", `HTTP/1.1 200 OK\r\n${long}${long}\r\nok`, 502, /is not HTTP/],
		["another protocol", "SSH-2.0-OpenSSH_9.2\r\n", 502, /is not HTTP/],
		[
			"the same length twice",
			"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
			502,
			/is not HTTP: .*Content-Length/,
		],
		[
			"a control character",
			"HTTP/1.1 200 OK\r\nX-A: a\x01b\r\nContent-Length: 2\r\n\r\nok",
			502,
			/X-A has a control character/,
		],
		["nothing", "", 502, /closed the connection before it answered/],
	] as const) {
		test(`${what}: ${status}`, async () => {
			answer = (socket) => socket.end(Buffer.from(bytes, "latin1"));
			const { port } = new URL(platform.url);
			const headers = { "e2b-sandbox-id": id, "e2b-sandbox-port": PORT };
			// One that takes as much as we pass on.
			const ask = request({ host: "127.0.0.1", port, headers, maxHeaderSize: 1 << 17, agent: false }).end();
			const [response] = (await once(ask, "response")) as [IncomingMessage];
			const text = String(Buffer.concat(await response.toArray()));
			assert.equal(response.statusCode, status, text);
			if (typeof body === "string") assert.equal(text, body);
			else assert.match((JSON.parse(text) as { message: string }).message, body);
		});
	}

	for (const [what, closes] of [
		["closes", true],
		["keeps the connection", false],
	] as const) {
		test(`one that answers before the upload is over, and ${what}, is heard`, async () => {
			answer = (socket) => {
				socket.write("HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge");
				socket.pause();
				if (closes) setTimeout(() => socket.destroy(), 20);
			};
			const { port } = new URL(platform.url);
			const upload = request({ host: "127.0.0.1", port, method: "POST", path: "/", headers: addressed() });
			upload.on("error", () => undefined);
			const answered = once(upload, "response");
			// That its connection is reset in the end is as good as any other end.
			const over = new Promise((resolve) => upload.once("close", resolve));
			const beganAtMs = performance.now();
			const feeding = setInterval(() => upload.write(Buffer.alloc(1 << 16)), 1);
			try {
				const [response] = (await answered) as [IncomingMessage];
				assert.equal(response.statusCode, 413);
				assert.equal(String(Buffer.concat(await response.toArray())), "large");
				await over;
			} finally {
				clearInterval(feeding);
				upload.destroy();
			}
			assert.ok(performance.now() - beganAtMs < 8_000, "and the connection does not stand for ever");
		});
	}

	test("a POST meets no connection that the application is about to close", async () => {
		answer = (socket) => {
			const reply = () => {
				socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
				// As a server whose idle connections live for a moment.
				setTimeout(() => socket.destroy(), 8);
			};
			reply();
			socket.on("data", reply);
		};
		for (let i = 0; i < 150; i++) {
			const response = await platform.sandbox(id, PORT, "/", { method: "POST", body: "x" });
			const text = await response.text();
			assert.equal(response.status, 200, `time ${i}: ${text}`);
			await sleep(6 + (i % 4));
		}
	});

	const addressed = () => ({ "e2b-sandbox-id": id, "e2b-sandbox-port": String(PORT), "transfer-encoding": "chunked" });
});
