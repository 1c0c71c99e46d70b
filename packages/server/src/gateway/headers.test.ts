import assert from "node:assert/strict";
import { test } from "node:test";
import { requestHeaders, responseHeaders } from "./headers.ts";

const ask = (raw: string[], { maskedHost, behindProxy = false }: { maskedHost?: string; behindProxy?: boolean } = {}) =>
	requestHeaders(raw, { from: "10.1.1.1", host: "h", maskedHost, behindProxy, chunked: false });

test("what belongs to one connection stays behind, the rest keeps order and spelling", () => {
	const raw = ["Host", "h", "X-B", "2", "x-a", "1", "X-B", "3", "Connection", "X-Gone, Content-Length", "X-Gone", "1"];
	assert.deepEqual(ask([...raw, "Content-Length", "5", "Keep-Alive", "timeout=5", "Upgrade", "h2c"]).slice(0, 10), [
		...["Host", "h", "X-B", "2", "x-a", "1", "X-B", "3"],
		...["Content-Length", "5"],
	]);
});

const FORWARDED = ["X-Forwarded-For", "1.2.3.4", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "example.org"];
for (const [who, behindProxy, told] of [
	["a client", false, ["10.1.1.1", "h", "http"]],
	["a trusted proxy", true, ["1.2.3.4, 10.1.1.1", "example.org", "https"]],
] as const) {
	test(`what ${who} says of where it comes from`, () => {
		const headers = ask(["Host", "h", ...FORWARDED], { behindProxy }).slice(2);
		const [chain, host, proto] = told;
		assert.deepEqual(headers, [
			...["X-Forwarded-For", chain, "X-Forwarded-Host", host, "X-Forwarded-Proto", proto],
			...["Connection", "keep-alive"],
		]);
	});
}

test("a masked host replaces what the application sees", () => {
	assert.deepEqual(ask(["Host", "h"], { maskedHost: "localhost:80" }).slice(0, 2), ["Host", "localhost:80"]);
});

test("an answer keeps its cookies apart", () => {
	const raw = ["Set-Cookie", "a=1", "Set-Cookie", "b=2", "Transfer-Encoding", "chunked", "Connection", "close"];
	assert.deepEqual(responseHeaders(raw), ["Set-Cookie", "a=1", "Set-Cookie", "b=2"]);
});
