import assert from "node:assert/strict";
import { test } from "node:test";
import { requestHeaders, responseHeaders } from "./headers.ts";

const ask = (raw: string[], maskedHost?: string) =>
	requestHeaders(raw, { from: "10.1.1.1", host: "h", maskedHost, chunked: false });

test("what belongs to one connection stays behind, the rest keeps order and spelling", () => {
	const raw = ["Host", "h", "X-B", "2", "x-a", "1", "X-B", "3", "Connection", "X-Gone, Content-Length", "X-Gone", "1"];
	assert.deepEqual(ask([...raw, "Content-Length", "5", "Keep-Alive", "timeout=5", "Upgrade", "h2c"]).slice(0, 10), [
		...["Host", "h", "X-B", "2", "x-a", "1", "X-B", "3"],
		...["Content-Length", "5"],
	]);
});

test("forwarding is told, and added to", () => {
	const headers = ask(["Host", "h", "X-Forwarded-For", "1.2.3.4", "X-Forwarded-Proto", "https"]);
	assert.deepEqual(headers.slice(2), [
		...["X-Forwarded-For", "1.2.3.4, 10.1.1.1"],
		...["X-Forwarded-Host", "h"],
		...["X-Forwarded-Proto", "https"],
		...["Connection", "keep-alive"],
	]);
});

test("a masked host replaces what the application sees", () => {
	assert.deepEqual(ask(["Host", "h"], "localhost:80").slice(0, 2), ["Host", "localhost:80"]);
});

test("an answer keeps its cookies apart", () => {
	const raw = ["Set-Cookie", "a=1", "Set-Cookie", "b=2", "Transfer-Encoding", "chunked", "Connection", "close"];
	assert.deepEqual(responseHeaders(raw), ["Set-Cookie", "a=1", "Set-Cookie", "b=2"]);
});
