import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
	chmodSync,
	chownSync,
	copyFileSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { gzipSync } from "node:zlib";
import type { Sandbox } from "e2b";
import { json, TestGuest, until } from "../testing.ts";

let guest: TestGuest;
let sandbox: Sandbox;
let here: string;
before(async () => {
	guest = await TestGuest.start();
	sandbox = await guest.connect();
});
beforeEach(() => {
	here = mkdtempSync(join(guest.directory, "case-"));
});
after(() => guest[Symbol.asyncDispose]());

const octets = { "content-type": "application/octet-stream" };
const at = (path: string, more = "") => `/files?path=${encodeURIComponent(path)}${more}`;
const post = (path: string, body: RequestInit["body"], headers: Record<string, string> = octets) =>
	guest.fetch(at(path), { method: "POST", headers, body, duplex: "half" } as RequestInit);

test("files are written and read by the published client, empty ones too", async () => {
	const path = join(here, "new/dir/ä ö.txt");
	const entry = await sandbox.files.write(path, "content", { user: "games" });
	assert.deepEqual([entry.name, entry.path, entry.type], ["ä ö.txt", path, "file"]);
	assert.equal(await sandbox.files.read(path), "content");
	const { uid, mode } = statSync(path);
	assert.deepEqual([uid, mode & 0o777, statSync(join(here, "new")).uid], [5, 0o644, 5]);
	await sandbox.files.write(join(here, "empty"), "");
	assert.equal(await sandbox.files.read(join(here, "empty")), "");
	await sandbox.files.writeFiles([1, 2, 3].map((i) => ({ path: join(here, `${i}`), data: `${i}` })));
	assert.equal(await sandbox.files.read(join(here, "3")), "3");
});

test("overwriting keeps mode and link", async () => {
	writeFileSync(join(here, "f"), "old");
	chmodSync(join(here, "f"), 0o751);
	chownSync(join(here, "f"), 5, 60);
	symlinkSync("f", join(here, "link"));
	assert.equal((await post(join(here, "link"), "new")).status, 200);
	const { uid, gid, mode } = statSync(join(here, "f"));
	assert.deepEqual([readFileSync(join(here, "f"), "utf8"), uid, gid, mode & 0o777], ["new", 0, 0, 0o751]);
	assert.deepEqual(readdirSync(here), ["f", "link"]);
});

test("a program that runs is replaced", async () => {
	const path = join(here, "program");
	copyFileSync("/bin/sleep", path);
	const running = spawn(path, ["60"]);
	try {
		await until("its start", () => readlinkSync(`/proc/${running.pid}/exe`) === path);
		assert.equal((await post(path, "new")).status, 200);
		assert.deepEqual([readFileSync(path, "utf8"), readdirSync(here)], ["new", ["program"]]);
	} finally {
		running.kill();
	}
});

test("a full disk is 507, and the old content stays", async () => {
	mkdirSync(join(here, "small"));
	execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", join(here, "small")]);
	try {
		const path = join(here, "small/f");
		assert.equal((await post(path, "old")).status, 200);
		const answer = await post(path, Buffer.alloc(4 << 20));
		assert.equal(answer.status, 507);
		assert.equal((await json(answer)).code, 507);
		await assert.rejects(sandbox.files.write(path, "x".repeat(3 << 20)), { name: "NotEnoughSpaceError" });
		assert.deepEqual([readFileSync(path, "utf8"), visible(join(here, "small"))], ["old", ["f"]]);
		// Room for the new content, and not for it twice.
		assert.equal((await post(path, "n".repeat(700 << 10))).status, 200);
		assert.deepEqual([readFileSync(path, "utf8"), visible(join(here, "small"))], ["n".repeat(700 << 10), ["f"]]);
	} finally {
		execFileSync("umount", [join(here, "small")]);
	}
});

test("100 MiB up and down in bounded memory", async () => {
	const status = `/proc/${supervisorPid()}/status`;
	const rss = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(status, "utf8"))?.[1]) / 1024;
	const data = randomBytes(100 << 20);
	const before = rss();
	let most = before;
	const timer = setInterval(() => {
		most = Math.max(most, rss());
	}, 20);
	const path = join(here, "large");
	assert.equal((await post(path, data)).status, 200);
	const form = new FormData();
	form.append("file", new Blob([data]), "large");
	assert.equal((await guest.fetch(at(path), { method: "POST", body: form })).status, 200);
	const back = createHash("sha256");
	for await (const bytes of (await guest.fetch(at(path))).body ?? []) back.update(bytes);
	clearInterval(timer);
	assert.equal(back.digest("hex"), createHash("sha256").update(data).digest("hex"));
	assert.ok(most - before < 80, `grew by ${most - before} MiB from ${before}`);
});

test("gzip is understood and given", async () => {
	const path = join(here, "f");
	const text = "gzip ".repeat(1000);
	assert.equal((await post(path, gzipSync(text), { ...octets, "content-encoding": "gzip" })).status, 200);
	const answer = await guest.fetch(at(path), { headers: { "accept-encoding": "gzip" } });
	assert.deepEqual([answer.headers.get("content-encoding"), await answer.text()], ["gzip", text]);
	const listing = await guest.fetch(at(path), { headers: { "accept-encoding": "gzip, deflate, br" } });
	assert.deepEqual([listing.headers.get("content-encoding"), listing.headers.get("content-length")], [null, "5000"]);
	assert.equal(await listing.text(), text);
	assert.equal((await guest.fetch(at(path), { headers: { "accept-encoding": "identity;q=0, br" } })).status, 406);
	assert.equal((await post(path, "not gzip", { ...octets, "content-encoding": "gzip" })).status, 400);
	assert.equal(readFileSync(path, "utf8"), text);
	assert.equal(await sandbox.files.read(path, { gzip: true }), text);
});

for (const [headers, status, body, range] of [
	[{ range: "bytes=2-4" }, 206, "234", "bytes 2-4/10"],
	[{ range: "bytes=-3" }, 206, "789", "bytes 7-9/10"],
	[{ range: "bytes=7-" }, 206, "789", "bytes 7-9/10"],
	[{ range: "bytes=10-" }, 416, "", "bytes */10"],
	[{ range: "bytes=0-1,3-4" }, 200, "0123456789", null],
	[{ "if-modified-since": new Date(Date.now() + 3_600_000).toUTCString() }, 304, "", null],
	[{ "if-unmodified-since": new Date(0).toUTCString() }, 412, "", null],
	[{ range: "bytes=2-4", "if-range": new Date(0).toUTCString() }, 200, "0123456789", null],
] as const) {
	test(`${JSON.stringify(headers)} is answered ${status}`, async () => {
		const path = join(here, "f");
		writeFileSync(path, "0123456789");
		const answer = await guest.fetch(at(path), { headers: { ...headers, "accept-encoding": "identity" } });
		assert.deepEqual([answer.status, await answer.text(), answer.headers.get("content-range")], [status, body, range]);
	});
}

test("metadata travels with a file, and each upload replaces it", async () => {
	const path = join(here, "f");
	const written = await post(path, "1", { ...octets, "X-Metadata-Kind": "report", "x-metadata-n": "1" });
	assert.deepEqual((await json<{ metadata: object }[]>(written))[0]?.metadata, { kind: "report", n: "1" });
	assert.deepEqual((await sandbox.files.getInfo(path)).metadata, { kind: "report", n: "1" });
	assert.deepEqual(Object.keys((await json<object[]>(post(path, "2")))[0] ?? {}), ["path", "name", "type"]);
	assert.deepEqual((await sandbox.files.getInfo(path)).metadata ?? {}, {});
	assert.equal((await post(path, "3", { ...octets, "x-metadata-long": "x".repeat(5000) })).status, 400);
	assert.equal((await post(path, "3", { ...octets, "x-metadata-k": "caf\u00e9" })).status, 400);
});

test("metadata travels with a file where the file system keeps no attributes", async () => {
	const records = () => readdirSync(join(guest.directory, "metadata")).length;
	const metadata = async (path: string) => (await sandbox.files.getInfo(path)).metadata ?? {};
	const write = (path: string, kind: string) => post(path, kind, { ...octets, "X-Metadata-Kind": kind });
	const disk = join(here, "disk");
	mkdirSync(disk);
	// ramfs answers EOPNOTSUPP, as gVisor's disk does.
	execFileSync("mount", ["-t", "ramfs", "ramfs", disk]);
	try {
		const path = join(disk, "a/f");
		const written = await write(path, "report");
		assert.deepEqual((await json<{ metadata: object }[]>(written))[0]?.metadata, { kind: "report" });
		symlinkSync("a", join(disk, "link"));
		symlinkSync("a/f", join(disk, "file"));
		for (const same of [path, join(disk, "link/f"), join(disk, "file")]) {
			assert.deepEqual(await metadata(same), { kind: "report" }, same);
		}
		assert.deepEqual((await sandbox.files.list(join(disk, "a")))[0]?.metadata, { kind: "report" });
		assert.equal(records(), 1);

		await sandbox.files.rename(join(disk, "link/f"), join(disk, "a/g"));
		await sandbox.files.rename(join(disk, "a"), join(disk, "b"));
		assert.deepEqual([await metadata(join(disk, "b/g")), records()], [{ kind: "report" }, 1]);
		await sandbox.files.rename(join(disk, "b"), join(here, "b"));
		assert.deepEqual([await metadata(join(here, "b/g")), records()], [{ kind: "report" }, 0]);
		await sandbox.files.rename(join(here, "b"), join(disk, "b"));
		assert.deepEqual([await metadata(join(disk, "b/g")), records()], [{ kind: "report" }, 1]);

		await write(join(disk, "b/g"), "replaced");
		assert.deepEqual(await metadata(join(disk, "b/g")), { kind: "replaced" });
		await post(join(disk, "b/g"), "cleared");
		assert.deepEqual([await metadata(join(disk, "b/g")), records()], [{}, 0]);

		await write(join(disk, "b/g"), "again");
		await sandbox.commands.run(`cd ${disk}/b && mv g h && echo 1 > g`);
		assert.deepEqual([await metadata(join(disk, "b/g")), await metadata(join(disk, "b/h"))], [{}, {}]);
		await write(join(disk, "b/g"), "again");
		await sandbox.files.remove(join(disk, "b"));
		assert.equal(records(), 0);
	} finally {
		execFileSync("umount", ["-l", disk]);
	}
});

test("what cannot be done says why", async () => {
	const status = async (path: string, init?: RequestInit) => (await guest.fetch(path, init)).status;
	assert.equal(await status(at(here)), 400);
	assert.equal(await status(at(join(here, "no"))), 404);
	assert.equal(await status(at("/x", "&username=nobody-knows")), 401);
	assert.equal(await status("/files", { method: "POST", headers: octets, body: "x" }), 400);
	assert.equal((await post(here, "x")).status, 400);
	assert.equal((await post("/etc/passwd/x", "x")).status, 400);
	assert.equal((await post(join(here, "f"), "x", { "content-type": "multipart/form-data" })).status, 400);
	assert.equal((await post(join(here, "f"), "x", { ...octets, "content-encoding": "br" })).status, 400);
	const twice = new FormData();
	twice.append("file", new Blob(["1"]), join(here, "f"));
	twice.append("file", new Blob(["2"]), join(here, "f"));
	assert.equal(await status("/files", { method: "POST", body: twice }), 400);
	const headers = { "content-type": "multipart/form-data; boundary=xx" };
	const cut = '--xx\r\nContent-Disposition: form-data; name="file"; filename="cut"\r\n\r\nabc';
	assert.equal(await status(at(join(here, "cut")), { method: "POST", headers, body: cut }), 400);
	const leftovers = readdirSync(here).filter((name) => name === "cut" || name.startsWith("."));
	assert.deepEqual(leftovers, []);
	assert.equal(await status(at("\0")), 400);
});

test("a refusal is a code and a message, and nothing more", async () => {
	const files = (query: string, init?: RequestInit) => guest.fetch(`/files${query}`, init);
	const answers = [
		files(`?path=${here}/no`),
		files(`?path=${here}`),
		files("?path=/x&username=nobody-knows"),
		files("?path=/x&path=/y"),
		files("", { method: "POST", headers: octets, body: "x" }),
		files("?path=/x", { method: "POST", headers: { "content-type": "text/plain" }, body: "x" }),
		files("?path=/x", { method: "DELETE" }),
		files(`?path=${here}`, { headers: { "accept-encoding": "br, identity;q=0" } }),
		guest.fetch("/files/compose", { method: "POST", body: "no" }),
		guest.fetch("/health", { method: "POST" }),
		guest.fetch("/no/such/path"),
		guest.fetch("/files/compose"),
		guest.tell("/init", { method: "POST", body: "[]" }),
	];
	for (const answer of await Promise.all(answers)) {
		const body = await json<{ code: number; message: string }>(answer);
		assert.deepEqual(Object.keys(body), ["code", "message"], answer.url);
		assert.deepEqual([body.code, typeof body.message], [answer.status, "string"]);
		assert.ok(answer.status >= 400 && answer.status < 500);
	}
	assert.equal((await answers[0])?.headers.get("dormice-reason"), "path_not_found");
	// Ours says why, so that our own client needs no guess.
	assert.equal((await json<{ reason: string }>(guest.fetch("/processes/4000000"))).reason, "process_not_found");
});

for (const [what, head] of [
	["no file name", 'form-data; name="file"'],
	["an empty file name", 'form-data; name="file"; filename=""'],
	["no file name, and a type", 'form-data; name="file"\r\nContent-Type: application/octet-stream'],
	["another file name", 'form-data; name="file"; filename="other"'],
] as const) {
	test(`a part with ${what} is stored under the request's path`, async () => {
		const headers = { "content-type": "multipart/form-data; boundary=xx" };
		const body = `--xx\r\nContent-Disposition: ${head}\r\n\r\nHello\r\n--xx--\r\n`;
		const path = join(here, "f");
		const answer = await guest.fetch(at(path), { method: "POST", headers, body });
		assert.deepEqual(await answer.json(), [{ path, name: "f", type: "file" }]);
		assert.deepEqual([readFileSync(path, "utf8"), readdirSync(here)], ["Hello", ["f"]]);
	});
}

test("a form without a file to store is refused where one was promised, and a part that names nothing always", async () => {
	const nothing = new FormData();
	nothing.append("other", "text");
	assert.equal((await guest.fetch(at(join(here, "f")), { method: "POST", body: nothing })).status, 400);
	const nameless = new FormData();
	nameless.append("file", "text");
	const answer = await guest.fetch("/files", { method: "POST", body: nameless });
	assert.equal(answer.status, 400);
	assert.match((await json<{ message: string }>(answer)).message, /no file name/);
	assert.deepEqual(readdirSync(here), []);
});

for (const [what, type, start] of [
	["octet-stream", "application/octet-stream", ""],
	[
		"multipart",
		"multipart/form-data; boundary=xx",
		'--xx\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n',
	],
] as const) {
	test(`a client that leaves in the middle of ${what} leaves nothing behind`, async () => {
		const path = encodeURIComponent(join(here, "f"));
		const head = `POST /files?path=${path} HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nContent-Length: 1000000\r\n\r\n`;
		const socket = connect(Number(new URL(guest.url).port), "127.0.0.1");
		socket.write(head + start + "x".repeat(100_000));
		const staged = () => readdirSync(join(guest.directory, "staging/.dormice-staging"));
		await until("the beginning of the upload", () => staged().length === 1);
		socket.destroy();
		await until("its removal", () => staged().length === 0);
		assert.deepEqual(readdirSync(here), []);
	});
}

test("parts are joined and gone", async () => {
	for (const part of ["1", "2", "3"]) writeFileSync(join(here, part), part.repeat(3));
	const body = JSON.stringify({
		source_paths: ["1", "2", "3"].map((name) => join(here, name)),
		destination: join(here, "all"),
	});
	assert.equal((await guest.fetch("/files/compose", { method: "POST", body })).status, 200);
	assert.deepEqual([readFileSync(join(here, "all"), "utf8"), readdirSync(here)], ["111222333", ["all"]]);
});

/** Without where a file system's uploads are staged, which must be empty. */
function visible(directory: string): string[] {
	assert.deepEqual(readdirSync(join(directory, ".dormice-staging")), []);
	return readdirSync(directory).filter((name) => name !== ".dormice-staging");
}

function supervisorPid(): number {
	return Number(execFileSync("pgrep", ["-o", "-P", String(guest.pid)], { encoding: "utf8" }).trim());
}
