import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { json, TestGuest } from "../testing.ts";

let guest: TestGuest;
let server: Server;
let here: string;
before(async () => {
	guest = await TestGuest.start();
	server = createServer().listen(join(guest.directory, "socket"));
	execFileSync("mkfifo", [join(guest.directory, "fifo")]);
	execFileSync("mknod", [join(guest.directory, "zero"), "c", "1", "5"]);
	execFileSync("mknod", [join(guest.directory, "block"), "b", "7", "250"]);
	mkdirSync(join(guest.directory, "directory"));
	symlinkSync("fifo", join(guest.directory, "link"));
	symlinkSync("/proc/self/fd/1", join(guest.directory, "stdout"));
});
beforeEach(() => {
	here = mkdtempSync(join(guest.directory, "case-"));
});
after(async () => {
	server.close();
	await guest[Symbol.asyncDispose]();
});

const octets = { "content-type": "application/octet-stream" };
const at = (path: string) => `/files?path=${encodeURIComponent(path)}`;
/** What cannot answer at once never will. */
const ask = (path: string, init: RequestInit = {}) =>
	guest.fetch(path, { ...init, signal: AbortSignal.timeout(5_000) });

function form(...paths: string[]): FormData {
	const data = new FormData();
	for (const path of paths) data.append("file", new Blob(["content"]), path);
	return data;
}

function compose(sources: string[], destination: string): Promise<Response> {
	const body = JSON.stringify({ source_paths: sources, destination });
	return ask("/files/compose", { method: "POST", body });
}

const DOINGS: [string, (path: string) => Promise<Response>][] = [
	["a download of", (path) => ask(at(path))],
	["a download of a part of", (path) => ask(at(path), { headers: { range: "bytes=0-1" } })],
	["an upload onto", (path) => ask(at(path), { method: "POST", headers: octets, body: "content" })],
	["an upload of a form onto", (path) => ask(at(path), { method: "POST", body: form("x") })],
	["an upload, after another file, onto", (path) => ask("/files", { method: "POST", body: form(`${here}/1`, path) })],
	["a compose from", (path) => compose([path], join(here, "composed"))],
	["a compose onto", (path) => compose([join(here, "source")], path)],
];

for (const [what, name, message] of [
	["a FIFO", "fifo", /is a FIFO, not a regular file/],
	["a symbolic link to a FIFO", "link", /is a FIFO, not a regular file/],
	["a socket", "socket", /is a socket, not a regular file/],
	["a character device", "zero", /is a device, not a regular file/],
	["a block device", "block", /is a device, not a regular file/],
	["a directory", "directory", /is a directory, not a regular file/],
	["a link like /dev/stdout", "stdout", /is a (FIFO|socket), not a regular file/],
	["the supervisor's own connection", "/proc/self/fd/3", /is a socket, not a regular file/],
	["memory", "/proc/self/mem", /cannot be read as a file: EIO|takes no files/],
	["a file of /proc that has no end", "/proc/self/pagemap", /has no size and more than 8 MiB|takes no files/],
] as const) {
	for (const [doing, request] of DOINGS) {
		test(`${doing} ${what} is a 400 that says so, and changes nothing`, async () => {
			writeFileSync(join(here, "source"), "source");
			const path = join(name.startsWith("/") ? "" : guest.directory, name);
			const before = lstatSync(path);
			const answer = await request(path);
			assert.equal(answer.status, 400);
			assert.match((await json<{ message: string }>(answer)).message, message);
			assert.deepEqual([lstatSync(path).ino, lstatSync(path).mode], [before.ino, before.mode]);
			const left = readdirSync(here).filter((one) => one !== "1");
			assert.deepEqual([left, readFileSync(join(here, "source"), "utf8")], [["source"], "source"]);
		});
	}
}

test("many FIFOs at once keep no request waiting", async () => {
	writeFileSync(join(here, "source"), "source");
	const fifo = join(guest.directory, "fifo");
	const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => DOINGS[i % DOINGS.length]?.[1](fifo)));
	assert.ok(answers.every((answer) => answer?.status === 400));
	writeFileSync(join(here, "f"), "content");
	assert.equal(await (await ask(at(join(here, "f")))).text(), "content");
});

// The first two say that they are empty, the third that it is a page long.
for (const path of ["/proc/version", "/proc/self/comm", "/sys/kernel/mm/transparent_hugepage/enabled"]) {
	test(`${path} is read whole, with its true length, and in parts`, async () => {
		const whole = await ask(at(path), { headers: { "accept-encoding": "identity" } });
		const text = await whole.text();
		assert.ok(text.length > 1);
		assert.deepEqual([whole.status, whole.headers.get("content-length")], [200, `${text.length}`]);
		const part = await ask(at(path), { headers: { range: "bytes=1-2" } });
		assert.deepEqual([part.status, await part.text()], [206, text.slice(1, 3)]);
		const packed = await ask(at(path), { headers: { "accept-encoding": "gzip" } });
		assert.deepEqual([packed.headers.get("content-encoding"), await packed.text()], ["gzip", text]);
		const head = await ask(at(path), { method: "HEAD" });
		assert.equal(head.headers.get("content-length"), `${text.length}`);
	});
}
