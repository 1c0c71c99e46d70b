import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { Dormice } from "./client.ts";

const TEXT = Array.from({ length: 500 }, (_, i) => `${i}\n`).join("");

interface Behaviour {
	/** How each request for output goes, one after the other; then it is answered whole. */
	output: ("cut" | "refuse")[];
	/** What the API says of the sandbox, one answer after the other; then "running". */
	states?: ("running" | "paused" | "gone")[];
	earliest?: number;
}

/** A platform with one sandbox and in it process 7, that wrote TEXT and ended with 3. */
async function stub({ output, states = [], earliest = 0 }: Behaviour) {
	const asked: string[] = [];
	const wakes: unknown[] = [];
	const server = createServer((request, response) => {
		const url = new URL(request.url ?? "/", "http://stub");
		const wake = request.headers["dormice-wake"] ?? "may wake";
		asked.push(`${url.pathname}${url.search}`);
		if (url.pathname.endsWith("/output")) wakes.push(wake);
		const json = (status: number, body: unknown) => void response.writeHead(status).end(JSON.stringify(body));
		if (url.pathname === "/sandboxes/i1") {
			const state = states.shift() ?? "running";
			return state === "gone" ? json(404, { code: 404, message: "gone" }) : json(200, { sandboxID: "i1", state });
		}
		if (url.pathname === "/processes/7")
			return json(200, { running: false, exitCode: 3, exited: true, status: "exit status 3" });
		const from = Number(url.searchParams.get("from") ?? earliest);
		const next = output.shift();
		if (next === "refuse") return json(502, { sandboxId: "i1", code: 502, message: "The sandbox was not found" });
		if (from < earliest) return json(416, { code: 416, reason: "output_out_of_range", message: "not kept" });
		response.writeHead(200, { "dormice-output-from": from, "dormice-process-started": 11 });
		if (next !== "cut") return void response.end(TEXT.slice(from));
		response.write(TEXT.slice(from, from + 300), () => setTimeout(() => response.destroy(), 20));
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	const { sandboxes } = new Dormice({ apiKey: "e2b_1", url });
	const sandbox = await sandboxes.get("i1");
	asked.length = 0;
	const close = async () => {
		server.closeAllConnections();
		server.close();
	};
	return { asked, wakes, sandbox, [Symbol.asyncDispose]: close };
}

async function text(pieces: AsyncIterable<{ offset: number; data: Uint8Array }>, from = 0): Promise<string> {
	let all = "";
	for await (const { offset, data } of pieces) {
		assert.equal(offset, from + all.length);
		all += new TextDecoder().decode(data);
	}
	return all;
}

test("output that is cut off goes on where it was, of the same process", async () => {
	await using platform = await stub({ output: ["cut", "refuse", "cut", "cut", "refuse"] });
	const output = platform.sandbox.output(7);
	assert.equal(await text(output), TEXT);
	assert.deepEqual([output.offset, output.exitCode], [TEXT.length, 3]);
	const requests = platform.asked.filter((path) => path.includes("output"));
	assert.deepEqual(requests, [
		"/processes/7/output",
		...[300, 300, 600, 900, 900].map((from) => `/processes/7/output?from=${from}&started=11`),
	]);
});

test("while the sandbox sleeps nobody is disturbed", async () => {
	await using platform = await stub({ output: ["cut"], states: ["running", "paused", "paused"] });
	assert.equal(await text(platform.sandbox.output(7, { from: 100, stream: "stderr" }), 100), TEXT.slice(100));
	assert.deepEqual(
		platform.asked.map((path) => path.replace(/\?.*/, "")),
		["/processes/7/output", ...Array(3).fill("/sandboxes/i1"), "/processes/7/output", "/processes/7"],
	);
});

test("only the first request may wake it, or all that were told to", async () => {
	for (const [wake, then] of [
		[false, "never"],
		[true, "may wake"],
	] as const) {
		await using platform = await stub({ output: ["cut", "cut"] });
		await text(platform.sandbox.output(7, { wake }));
		assert.deepEqual(platform.wakes, ["may wake", then, then]);
	}
});

test("what cannot become better is an error", async () => {
	await using gone = await stub({ output: ["cut"], states: ["running", "gone"] });
	await assert.rejects(text(gone.sandbox.output(7)), { reason: "sandbox_not_found" });
	await using late = await stub({ output: [], earliest: 50 });
	await assert.rejects(text(late.sandbox.output(7, { from: 10 })), { reason: "output_out_of_range" });
	await using asleep = await stub({ output: ["refuse"], states: ["running", "paused"] });
	await assert.rejects(text(asleep.sandbox.output(7, { follow: false })), { reason: "sandbox_not_found" });
});

test("a signal ends the waiting", async () => {
	await using platform = await stub({ output: Array(1000).fill("refuse") });
	const signal = AbortSignal.timeout(200);
	await assert.rejects(text(platform.sandbox.output(7, { signal })), { name: "TimeoutError" });
});
