import assert from "node:assert/strict";
import { mkdtempSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { platformPaths } from "./paths.ts";
import { postgresUrl } from "./postgres.ts";
import { socketDirectory } from "./server.ts";
import { platformUrl } from "./settings.ts";

test("a data directory has one name, and its sockets a short path", () => {
	const directory = realpathSync(mkdtempSync(join(tmpdir(), "dormice-paths-")));
	try {
		symlinkSync(directory, `${directory}-link`);
		const deep = `${"x".repeat(100)}/${"y".repeat(100)}`;
		const paths = platformPaths(join(directory, deep));
		assert.deepEqual(platformPaths(join(`${directory}-link`, deep)), paths);
		assert.notEqual(platformPaths(directory).run, paths.run);
		// The kernel's limit is 107 bytes (unix(7)).
		for (const socket of [paths.engineSocket, `${paths.postgresSocket}/.s.PGSQL.5432.lock`]) {
			assert.ok(socket.length <= 107, socket);
		}
	} finally {
		rmSync(directory, { recursive: true });
		rmSync(`${directory}-link`);
	}
});

test("the directory of a database's socket is found in its URL", () => {
	assert.deepEqual(socketDirectory("postgres://user@/db?host=/tmp"), ["/tmp"]);
	assert.deepEqual(socketDirectory("postgres://user@/db?host=%2Ftmp"), ["/tmp"]);
	assert.deepEqual(socketDirectory("postgres://user:secret@db.example:5432/db"), []);
	assert.match(postgresUrl(platformPaths("/data")), /^postgres:\/\/dormice@\/dormice\?host=%2Frun%2Fdormice%2F/);
});

test("a platform that listens everywhere is reached on this machine", () => {
	const rows = [
		["127.0.0.1", "http://127.0.0.1:1"],
		["0.0.0.0", "http://127.0.0.1:1"],
		["::", "http://127.0.0.1:1"],
		["::1", "http://[::1]:1"],
		["10.1.2.3", "http://10.1.2.3:1"],
	] as const;
	for (const [listen, url] of rows) assert.equal(platformUrl({ listen, port: 1 }), url);
});
