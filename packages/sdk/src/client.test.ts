import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { Dormice } from "./client.ts";

interface Answer {
	status: number;
	body?: unknown;
	headers?: Record<string, string>;
}

/** A platform that answers with `answer` and remembers what it was asked. */
async function stub(answer: (request: IncomingMessage, body: string) => Answer) {
	const asked: { line: string; headers: IncomingMessage["headers"]; body: string }[] = [];
	const server = createServer((request, response) => {
		let body = "";
		request.on("data", (chunk) => {
			body += chunk;
		});
		request.on("end", () => {
			asked.push({ line: `${request.method} ${request.url}`, headers: request.headers, body });
			const { status, body: reply, headers } = answer(request, body);
			response.writeHead(status, headers).end(Buffer.isBuffer(reply) ? reply : reply && JSON.stringify(reply));
		});
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	return {
		asked,
		dormice: new Dormice({ apiKey: "e2b_1", url }),
		[Symbol.asyncDispose]: async () => {
			server.closeAllConnections();
			server.close();
		},
	};
}

const INFO = { sandboxID: "i1", templateID: "t1", envdAccessToken: "token" };

/** Connect's framing of a stream: flags, length, JSON; the last frame has flag 2. */
function frames(...messages: unknown[]): Buffer {
	const all = [...messages.map((message) => [0, message] as const), [2, {}] as const];
	return Buffer.concat(
		all.map(([flags, message]) => {
			const json = Buffer.from(JSON.stringify(message));
			const head = Buffer.alloc(5);
			head.writeUInt8(flags);
			head.writeUInt32BE(json.length, 1);
			return Buffer.concat([head, json]);
		}),
	);
}

const base64 = (text: string) => Buffer.from(text).toString("base64");

test("create sends what was chosen and nothing else", async () => {
	await using platform = await stub(() => ({ status: 201, body: INFO }));
	const sandbox = await platform.dormice.sandboxes.create({ timeoutS: 60, autoResume: true });
	assert.equal(sandbox.id, "i1");
	assert.deepEqual(sandbox.info, { sandboxId: "i1", templateId: "t1", envdAccessToken: "token" });
	const [request] = platform.asked;
	assert.equal(request?.line, "POST /v2/sandboxes");
	assert.equal(request?.headers["x-api-key"], "e2b_1");
	assert.deepEqual(JSON.parse(request?.body ?? ""), {
		templateID: "base",
		timeout: 60,
		autoResume: { enabled: true },
	});
});

test("list follows the pages", async () => {
	await using platform = await stub((request) =>
		request.url?.includes("nextToken=two")
			? { status: 200, body: [{ sandboxID: "b" }] }
			: { status: 200, body: [{ sandboxID: "a" }], headers: { "X-Next-Token": "two" } },
	);
	const found = await Array.fromAsync(
		platform.dormice.sandboxes.list({ state: ["paused"], metadata: { "a b": "1&2" } }),
	);
	assert.deepEqual(
		found.map(({ sandboxId }) => sandboxId),
		["a", "b"],
	);
	assert.equal(platform.asked[0]?.line, "GET /v2/sandboxes?state=paused&metadata=a%252520b%3D1%2525262");
});

const refusals: [what: string, answer: Answer, reason: string][] = [
	["our own reason", { status: 409, body: { code: 409, message: "m", reason: "already_running" } }, "already_running"],
	[
		"our own reason, in a header",
		{ status: 404, body: { code: 404, message: "m" }, headers: { "dormice-reason": "path_not_found" } },
		"path_not_found",
	],
	["a bare status", { status: 401, body: { code: 401, message: "Invalid API key" } }, "unauthenticated"],
	[
		"the gateway",
		{ status: 502, body: { sandboxId: "i1", message: "The sandbox was not found" } },
		"sandbox_not_found",
	],
	["no JSON at all", { status: 500, body: Buffer.from("<html>") }, "internal"],
];
for (const [what, answer, reason] of refusals) {
	test(`a refusal becomes an error with a reason: ${what}`, async () => {
		await using platform = await stub(() => answer);
		await assert.rejects(platform.dormice.sandboxes.kill("i1"), { name: "DormiceError", reason });
	});
}

test("nobody there: the error names the address and the command", async () => {
	const dormice = new Dormice({ apiKey: "k", url: "http://127.0.0.1:1" });
	await assert.rejects(dormice.sandboxes.get("i1"), /127\.0\.0\.1:1; start one with: dormice up/);
});

test("a command goes through the gateway: output by stream, exit code, user", async () => {
	await using platform = await stub((request) =>
		request.url === "/process.Process/Start"
			? {
					status: 200,
					headers: { "Content-Type": "application/connect+json" },
					body: frames(
						{ event: { start: { pid: 7 } } },
						{ event: { data: { stdout: base64("out ") } } },
						{ event: { keepalive: {} } },
						{ event: { data: { stderr: base64("err") } } },
						{ event: { data: { stdout: base64("more") } } },
						{ event: { end: { exitCode: 5, exited: true, status: "exit status 5", error: "exit status 5" } } },
					),
				}
			: { status: 200, body: INFO },
	);
	const sandbox = await platform.dormice.sandboxes.get("i1");
	const execution = sandbox.exec(["make", "all"], { user: "root", cwd: "/src", timeoutMs: 1500 });
	assert.equal(await execution.pid, 7);
	assert.deepEqual(await execution.result(), { exitCode: 5, stdout: "out more", stderr: "err" });
	const headers = platform.asked[1]?.headers;
	assert.equal(headers?.["e2b-sandbox-id"], "i1");
	assert.equal(headers?.["e2b-sandbox-port"], "49983");
	assert.equal(headers?.["x-access-token"], "token");
	assert.equal(headers?.authorization, `Basic ${btoa("root:")}`);
	assert.equal(headers?.["connect-timeout-ms"], "1500");
	assert.match(platform.asked[1]?.body ?? "", /"cwd":"\/src"/);
});

test("files are read and written by path", async () => {
	await using platform = await stub((request) =>
		request.url?.startsWith("/files")
			? { status: 200, body: request.method === "GET" ? Buffer.from("content") : [] }
			: { status: 200, body: INFO },
	);
	const { files } = await platform.dormice.sandboxes.get("i1");
	assert.equal(await files.readText("a b.txt"), "content");
	await files.write("/x", "new", { user: "root" });
	assert.deepEqual(
		platform.asked.slice(1).map(({ line, body }) => [line, body]),
		[
			["GET /files?path=a+b.txt", ""],
			["POST /files?path=%2Fx&username=root", "new"],
		],
	);
});
