import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { request } from "node:http";
import { connect } from "node:net";
import { Readable } from "node:stream";
import { after, before, suite, test } from "node:test";
import { GUEST } from "@dormice/protocol";
import { Sandbox } from "e2b";
import { APP_PORT, LOCAL_PORT } from "../testing/fake-guest.ts";
import { TestPlatform, until } from "../testing/platform.ts";

suite("gateway", () => {
	let platform: TestPlatform;
	let sandbox: Sandbox;
	before(async () => {
		platform = await TestPlatform.open();
		sandbox = await Sandbox.create({ ...platform.e2b, timeoutMs: 600_000 });
	});
	after(() => platform[Symbol.asyncDispose]());

	/** Sends bytes as they are and returns what comes back until the end, or until it has been quiet for a while. */
	async function raw(text: string, quietMs = 0): Promise<string> {
		const { port } = new URL(platform.url);
		const socket = connect(Number(port), "127.0.0.1");
		socket.setTimeout(quietMs, () => socket.end());
		socket.write(text);
		let answer = "";
		for await (const chunk of socket) answer += String(chunk);
		return answer;
	}
	const headersFor = (port: number, id = sandbox.sandboxId) =>
		`Host: localhost\r\nE2b-Sandbox-Id: ${id}\r\nE2b-Sandbox-Port: ${port}\r\nConnection: close\r\n`;

	test("refusals, in E2B's words", async () => {
		const id = sandbox.sandboxId;
		const body = async (response: Promise<Response>) => await (await response).json();
		assert.deepEqual(await body(platform.sandbox("i00000000000000000000", 80, "/")), {
			sandboxId: "i00000000000000000000",
			message: "The sandbox was not found",
			code: 502,
		});
		assert.deepEqual(await body(platform.sandbox(id, 9, "/")), {
			sandboxId: id,
			message: "The sandbox is running but port is not open",
			port: 9,
			code: 502,
		});
		const page = await raw(`GET / HTTP/1.1\r\n${headersFor(9)}User-Agent: Mozilla/5.0\r\nAccept: text/html\r\n\r\n`);
		assert.match(page, /content-type: text\/html/);
	});

	test("the port where the host speaks to the supervisor is not forwarded", async () => {
		const id = sandbox.sandboxId;
		const heard = platform.engine.guest(id).heard.length;
		for (const port of [`${GUEST.hostPort}`, `0${GUEST.hostPort}`, ` ${GUEST.hostPort}`]) {
			const byHeader = `Host: localhost\r\nE2b-Sandbox-Id: ${id}\r\nE2b-Sandbox-Port: ${port}\r\nConnection: close`;
			assert.match(await raw(`GET /health HTTP/1.1\r\n${byHeader}\r\n\r\n`), /^HTTP\/1.1 400 /, port);
		}
		const byName = `Host: ${GUEST.hostPort}-${id}.localhost\r\nConnection: close`;
		assert.match(await raw(`GET /health HTTP/1.1\r\n${byName}\r\n\r\n`), /^HTTP\/1.1 400 /);
		assert.equal(platform.engine.guest(id).heard.length, heard, "the supervisor heard nothing");
	});

	test("CONNECT is refused", async () => {
		assert.match(
			await raw(`CONNECT 127.0.0.1:80 HTTP/1.1\r\n${headersFor(GUEST.supervisorPort)}\r\n`),
			/^HTTP\/1.1 405/,
		);
	});

	test("a host name is enough", async () => {
		const answer = await raw(
			`GET /count HTTP/1.1\r\nHost: ${APP_PORT}-${sandbox.sandboxId}.localhost\r\nConnection: close\r\n\r\n`,
		);
		assert.match(answer, /^HTTP\/1.1 200 OK/);
	});

	test("a server that listens on localhost is reached through the supervisor", async () => {
		assert.equal((await platform.sandbox(sandbox.sandboxId, LOCAL_PORT, "/count")).status, 200);
	});

	test("headers, trailers, 100-continue", async () => {
		const sent = (await (await platform.sandbox(sandbox.sandboxId, APP_PORT, "/headers")).json()) as string[];
		assert.ok(sent.includes("X-Forwarded-For"));
		const trailers = await raw(`GET /trailers HTTP/1.1\r\n${headersFor(APP_PORT)}TE: trailers\r\n\r\n`);
		assert.match(trailers, /x-sum: 42\r\n\r\n$/);
		const { port } = new URL(platform.url);
		const ask = request({
			...{ host: "127.0.0.1", port, method: "POST", path: "/echo" },
			headers: {
				expect: "100-continue",
				"e2b-sandbox-id": sandbox.sandboxId,
				"e2b-sandbox-port": APP_PORT,
				"content-length": 5,
			},
		});
		ask.flushHeaders();
		await once(ask, "continue");
		ask.end("hello");
		const [answer] = (await once(ask, "response")) as [Readable];
		assert.equal(String((await answer.toArray())[0]), "hello");
	});

	test("an upgrade passes bytes both ways, and ends with the sandbox's pause", async () => {
		const { port } = new URL(platform.url);
		const ask = request({
			...{ host: "127.0.0.1", port, path: "/ws" },
			headers: {
				connection: "Upgrade",
				upgrade: "websocket",
				"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
				"e2b-sandbox-id": sandbox.sandboxId,
				"e2b-sandbox-port": APP_PORT,
			},
		});
		ask.end();
		const [answer, socket] = await once(ask, "upgrade");
		assert.equal(answer.headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
		socket.write("ping");
		assert.equal(String((await once(socket, "data"))[0]), "ping");
		socket.on("error", () => undefined);
		const closed = once(socket, "close");
		await sandbox.pause();
		await closed;
		assert.equal(platform.engine.openAtCheckpoint, 0);
		await Sandbox.connect(sandbox.sandboxId, { ...platform.e2b, timeoutMs: 600_000 });
	});

	for (const [what, head] of [
		["an announced trailer without chunks", "Trailer: X-Sum\r\n"],
		["an upgrade with a body", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 44\r\n"],
		["an upgrade that the application refuses", "Connection: Upgrade\r\nUpgrade: nothing\r\nContent-Length: 0\r\n"],
		[
			"an announcement of both",
			"Trailer: X-Sum\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 44\r\n",
		],
	] as const) {
		test(`${what} leaves no trace on the connections to the sandbox`, async () => {
			const address = `Host: localhost\r\nE2b-Sandbox-Id: ${sandbox.sandboxId}\r\nE2b-Sandbox-Port: ${APP_PORT}\r\n`;
			const smuggled = "GET /count HTTP/1.1\r\nHost: localhost\r\nX: yz\r\n\r\n";
			const count = async () => Number(await (await platform.sandbox(sandbox.sandboxId, APP_PORT, "/count")).text());
			const before = await count();
			for (let i = 0; i < 8; i++) {
				const answer = await raw(
					`POST /echo HTTP/1.1\r\n${address}${head}\r\n${head.includes("44") ? smuggled : ""}`,
					100,
				);
				assert.match(answer, /^HTTP\/1.1 (200|426) /);
			}
			assert.equal(await count(), before + 1, "what was sent as a body ran as no request");
		});
	}

	test("a large body passes in bounded memory", async () => {
		const megabytes = 256;
		const chunk = Buffer.alloc(1 << 20);
		let peak = 0;
		function* chunks() {
			for (let i = 0; i < megabytes; i++) {
				peak = Math.max(peak, process.memoryUsage().rss);
				yield chunk;
			}
		}
		const before = process.memoryUsage().rss;
		const answer = await platform.sandbox(sandbox.sandboxId, APP_PORT, "/swallow", {
			method: "POST",
			body: Readable.toWeb(Readable.from(chunks())) as ReadableStream,
			duplex: "half",
		} as RequestInit);
		assert.equal(await answer.text(), String(megabytes << 20));
		assert.ok(peak - before < 150 << 20, `grew by ${(peak - before) >> 20} MiB`);
	});

	test("whoever leaves takes the other side along", async () => {
		const guest = platform.engine.guest(sandbox.sandboxId);
		const leave = new AbortController();
		const stream = await platform.sandbox(sandbox.sandboxId, APP_PORT, "/forever", { signal: leave.signal });
		await stream.body?.getReader().read();
		leave.abort();
		await until(() => guest.aborted === 1);
		await assert.rejects((await platform.sandbox(sandbox.sandboxId, APP_PORT, "/cut")).text());
	});

	test("a private sandbox wants its token", async () => {
		const guarded = await Sandbox.create({ ...platform.e2b, network: { allowPublicTraffic: false } });
		const ask = (headers: Record<string, string>) =>
			platform.sandbox(guarded.sandboxId, APP_PORT, "/count", { headers });
		assert.equal((await ask({})).status, 403);
		assert.equal((await ask({ "e2b-traffic-access-token": "no" })).status, 403);
		assert.equal((await ask({ "e2b-traffic-access-token": guarded.trafficAccessToken ?? "" })).status, 200);
		assert.equal(await guarded.isRunning(), true, "the supervisor has a token of its own");
		await guarded.kill();
	});

	test("the application sees the host it was promised", async () => {
		const masked = await Sandbox.create({ ...platform.e2b, network: { maskRequestHost: `localhost:$\{PORT}` } });
		const sent = (await (await platform.sandbox(masked.sandboxId, APP_PORT, "/headers")).json()) as string[];
		assert.equal(sent[sent.findIndex((name) => name.toLowerCase() === "host") + 1], `localhost:${APP_PORT}`);
		await masked.kill();
	});

	test("a signed link finds its sandbox without an id", async () => {
		const url = new URL(await sandbox.downloadUrl("/home/user/a b", { useSignatureExpiration: 60_000 }));
		const answer = await fetch(url);
		assert.equal(await answer.text(), "a file");
		url.searchParams.set("path", "/etc/passwd");
		assert.equal((await fetch(url)).status, 502);
		const hash = createHash("sha256").update("x").digest("base64");
		assert.equal((await fetch(`${platform.url}/files?path=x&signature=v1_${hash}`)).status, 502);
	});

	test("a signed link wakes its sandbox as long as it counts", async () => {
		const lifecycle = { onTimeout: "pause", autoResume: true } as const;
		const sleeper = await Sandbox.create({ ...platform.e2b, lifecycle });
		const link = (useSignatureExpiration: number) => sleeper.downloadUrl("/home/user/a b", { useSignatureExpiration });
		const [good, expired] = [await link(60), await link(-60)];
		await sleeper.pause();
		assert.equal((await fetch(expired)).status, 403);
		assert.equal((await Sandbox.getInfo(sleeper.sandboxId, platform.e2b)).state, "paused");
		assert.equal((await fetch(good)).status, 200);
		await sleeper.kill();
	});

	test("a hundred requests at once wake a sandbox once", async () => {
		const sleeper = await Sandbox.create({
			...platform.e2b,
			lifecycle: { onTimeout: "pause", autoResume: true },
		});
		await platform.sandbox(sleeper.sandboxId, APP_PORT, "/count");
		await sleeper.pause();
		platform.engine.delaysMs.set("restore", 100);
		const before = platform.engine.calls.get("restore") ?? 0;
		const leaver = platform.sandbox(sleeper.sandboxId, APP_PORT, "/count", { signal: AbortSignal.timeout(30) });
		const answers = await Promise.all([
			...Array.from({ length: 100 }, async () =>
				(await platform.sandbox(sleeper.sandboxId, APP_PORT, "/count")).text(),
			),
			leaver.catch(() => "left"),
		]);
		platform.engine.delaysMs.delete("restore");
		assert.equal(answers.pop(), "left", "its leaving stopped only its own waiting");
		assert.deepEqual(
			answers.map(Number).sort((a, b) => a - b),
			Array.from({ length: 100 }, (_, i) => i + 2),
		);
		assert.equal((platform.engine.calls.get("restore") ?? 0) - before, 1);
		await sleeper.kill();
	});

	test("only its token wakes it through the supervisor's port", async () => {
		const sleeper = await Sandbox.create({ ...platform.e2b, lifecycle: { onTimeout: "pause", autoResume: true } });
		await sleeper.pause();
		assert.equal((await platform.sandbox(sleeper.sandboxId, GUEST.supervisorPort, "/envs")).status, 403);
		assert.equal(await sleeper.isRunning(), true);
		await sleeper.kill();
	});

	test("who says so wakes nothing", async () => {
		const sleeper = await Sandbox.create({ ...platform.e2b, lifecycle: { onTimeout: "pause", autoResume: true } });
		const ask = (headers: Record<string, string>) =>
			platform.sandbox(sleeper.sandboxId, APP_PORT, "/count", { headers: { ...headers } });
		assert.equal((await ask({ "dormice-wake": "never" })).status, 200);
		await sleeper.pause();
		assert.equal((await ask({ "dormice-wake": "never" })).status, 502);
		assert.equal((await ask({})).status, 200);
		await sleeper.kill();
	});

	test("starts wait for their place", async () => {
		platform.engine.startsAtOnce = 0;
		platform.engine.delaysMs.set("restore", 20);
		const many = await Promise.all(Array.from({ length: 8 }, () => Sandbox.create(platform.e2b)));
		platform.engine.delaysMs.delete("restore");
		assert.ok(platform.engine.startsAtOnce <= 2);
		await Promise.all(many.map((one) => one.kill()));
	});
});
