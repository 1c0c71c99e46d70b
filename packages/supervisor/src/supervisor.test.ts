import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer as createHttpServer, request as httpRequest } from "node:http";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Sandbox } from "e2b";
import { json, TestGuest, until } from "./testing.ts";

let guest: TestGuest;
let sandbox: Sandbox;
before(async () => {
	guest = await TestGuest.start();
	sandbox = await guest.connect();
});
after(() => guest[Symbol.asyncDispose]());

test("/init says who the sandbox is, and what it says replaces what was said", async () => {
	const init = (body: object) => guest.tell("/init", { method: "POST", body: JSON.stringify(body) });
	const HOME = guest.directory;
	assert.equal((await init({ sandboxID: "i1", templateID: "base", envVars: { A: "1", B: "2", HOME } })).status, 204);
	assert.equal((await init({ envVars: { A: "3", HOME }, defaultWorkdir: "/usr" })).status, 204);
	assert.deepEqual(await json(guest.fetch("/envs")), { A: "3", HOME });
	const { stdout } = await sandbox.commands.run("echo $A $B $E2B_SANDBOX_ID $E2B_TEMPLATE_ID; pwd");
	assert.equal(stdout, "3 i1 base\n/usr\n");
	assert.equal(readFileSync(join(guest.directory, "run/.E2B_SANDBOX_ID"), "utf8"), "i1");
	assert.equal((await init({ envVars: { A: 1 } })).status, 400);
	assert.equal((await guest.tell("/init", { method: "POST", body: "{" })).status, 400);
});

test("the host is listened to where it speaks, and no one else is", async () => {
	const from = (localAddress: string) =>
		new Promise<string>((resolve) => {
			const ask = { host: "127.0.0.1", port: guest.hostPort, path: "/dormice/sync", localAddress, method: "POST" };
			httpRequest(ask, ({ statusCode }) => resolve(String(statusCode)))
				.once("error", () => resolve("no answer"))
				.end();
		});
	assert.equal(await from("127.0.0.2"), "no answer");
	assert.equal(await from("127.0.0.1"), "204");
});

test("activity counts what runs and who listens", async () => {
	const handle = await sandbox.commands.run("sleep 60", { background: true, timeoutMs: 0 });
	const activity = () =>
		json<{ processes: { pid: number; cmd: string }[]; cpuMs: number; subscribers: number }>(
			guest.tell("/dormice/activity"),
		);
	// A login shell's profile may run something of its own first.
	await until("it runs alone", async () => {
		const { processes, subscribers } = await activity();
		return subscribers === 1 && processes.length === 1 && processes[0]?.pid === handle.pid;
	});
	await handle.disconnect();
	await until("nobody listens", async () => (await activity()).subscribers === 0);
	await handle.kill();
	await until("nothing runs", async () => (await activity()).processes.length === 0);
	const before = (await activity()).cpuMs;
	await sandbox.commands.run("timeout 0.5 sh -c 'while :; do :; done' || true");
	assert.ok((await activity()).cpuMs - before >= 100, "work is in the account");
	const after = (await activity()).cpuMs;
	for (let i = 0; i < 50; i++) await activity();
	assert.equal((await activity()).cpuMs, after, "the supervisor's own is not");
});

test("metrics are plausible", async () => {
	const metrics = await json<Record<string, number>>(guest.fetch("/metrics"));
	assert.ok((metrics.mem_total ?? 0) > (metrics.mem_used ?? 0) && (metrics.disk_total ?? 0) > (metrics.disk_used ?? 0));
	assert.ok((metrics.cpu_count ?? 0) >= 1);
});

/** Opens a CONNECT; resolves to the status line, with the socket for more. */
function openTunnel(
	target: string,
	{ localAddress = "127.0.0.1", port = guest.hostPort } = {},
): Promise<{ status: string; socket: Socket; text: () => string }> {
	return new Promise((resolve, reject) => {
		let text = "";
		const socket = connect({ host: "127.0.0.1", port, localAddress });
		socket.once("error", reject).once("close", () => reject(new Error("closed")));
		socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`);
		socket.on("data", (bytes) => {
			text += bytes;
			if (text.includes("\r\n\r\n"))
				resolve({ status: text.split(" ")[1] ?? "", socket, text: () => text.split("\r\n\r\n").slice(1).join("") });
		});
	});
}

for (const address of ["127.0.0.1", "::1"]) {
	test(`a tunnel reaches a server on ${address}, both ways until both ends`, async () => {
		const echo = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)).listen(0, address);
		await new Promise((resolve) => echo.once("listening", resolve));
		const { status, socket, text } = await openTunnel(`127.0.0.1:${(echo.address() as AddressInfo).port}`);
		assert.equal(status, "200");
		socket.end("there and back");
		await new Promise((resolve) => socket.once("end", resolve));
		assert.equal(text(), "there and back");
		echo.close();
	});
}

test("a tunnel to a closed port, to elsewhere, or from elsewhere is refused", async () => {
	const server = createHttpServer().listen(0, "127.0.0.1");
	await new Promise((resolve) => server.once("listening", resolve));
	const { port } = server.address() as AddressInfo;
	await assert.rejects(openTunnel(`127.0.0.1:${port}`, { localAddress: "127.0.0.2" }));
	const clients = Number(new URL(guest.url).port);
	assert.equal((await openTunnel(`127.0.0.1:${port}`, { port: clients })).status, "404", "where clients ask");
	await new Promise((resolve) => server.close(resolve));
	assert.equal((await openTunnel(`127.0.0.1:${port}`)).status, "502");
	assert.equal((await openTunnel("10.0.0.1:80")).status, "400");
});

for (const [what, path, init, status] of [
	["an unknown path", "/nope", {}, 404],
	["an unknown method of a service", "/process.Process/Nope", { method: "POST" }, 404],
	["broken JSON in a call", "/process.Process/List", { method: "POST", body: "{" }, 400],
	["a wrong type in a call", "/filesystem.Filesystem/Stat", { method: "POST", body: '{"path":1}' }, 400],
	["a wrong method", "/metrics", { method: "POST" }, 404],
	["huge headers", "/health", { headers: { "x-large": "x".repeat(20_000) } }, 431],
] as const) {
	test(`${what} is answered ${status}`, async () => {
		const headers = { "content-type": "application/json", ...("headers" in init ? init.headers : {}) };
		assert.equal((await guest.fetch(path, { ...init, headers })).status, status);
	});
}

test("the supervisor is started again when it dies, and idles without a wake-up", async () => {
	const supervisor = () => execFileSync("pgrep", ["-o", "-P", String(guest.pid)], { encoding: "utf8" }).trim();
	const switches = () =>
		/^voluntary_ctxt_switches:\s+(\d+)/m.exec(readFileSync(`/proc/${supervisor()}/status`, "utf8"))?.[1];
	await new Promise((resolve) => setTimeout(resolve, 1500));
	const before = switches();
	await new Promise((resolve) => setTimeout(resolve, 1500));
	assert.equal(switches(), before);
	const first = supervisor();
	execFileSync("kill", ["-9", first]);
	// The port was the system's choice, so the next one listens elsewhere; that it runs is enough.
	await until("the next supervisor", () => {
		try {
			return supervisor() !== first;
		} catch {
			return false;
		}
	});
});
