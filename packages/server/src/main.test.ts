import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";

for (const [what, mistake] of [
	["an exception", 'throw new Error("a mistake")'],
	["a rejection", 'Promise.reject(new Error("a mistake"))'],
]) {
	test(`${what} that nothing catches is written down, and the server ends in order`, async () => {
		const dir = await mkdtemp(join(tmpdir(), "dormice-main-"));
		// Once the program has begun, however long that takes.
		const wait = 'if (process.listenerCount("uncaughtException") === 0) return; clearInterval(timer);';
		const preload = `data:text/javascript,const timer = setInterval(() => { ${wait} ${mistake} }, 50)`;
		// Neither engine nor database are there: it listens all the same.
		const server = spawn(process.execPath, ["--import", preload, join(import.meta.dirname, "main.ts")], {
			stdio: ["ignore", "pipe", "inherit"],
			env: {
				DORMICE_DATA: dir,
				DORMICE_PORT: "0",
				DORMICE_SECRETS_KEY: "0".repeat(64),
				DATABASE_URL: "postgres://127.0.0.1:1/none",
				DORMICE_LOG_LEVEL: "info",
			},
		});
		const [lines, [code]] = await Promise.all([text(server.stdout), once(server, "exit")]);
		const log = lines
			.trim()
			.split("\n")
			.map((line) => JSON.parse(line) as { level: number; msg: string; err?: Error });
		const fatal = log.find(({ level }) => level === 60);
		assert.match(String(fatal?.err?.message), /a mistake/);
		assert.ok(log.some(({ msg }) => msg === "stopping; sandboxes go on"));
		assert.equal(code, 1);
		await rm(dir, { recursive: true });
	});
}
