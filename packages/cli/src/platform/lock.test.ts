import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Lock } from "./lock.ts";

const directory = mkdtempSync(join(tmpdir(), "dormice-lock-"));
after(() => rmSync(directory, { recursive: true }));

test("one holds the lock, and who waits hears who that is", async () => {
	const path = join(directory, "one");
	const first = await Lock.tryAcquire(path);
	assert.ok(first);
	assert.equal(await Lock.tryAcquire(path), undefined);

	let holder = "";
	const second = Lock.acquire(path, (who) => {
		holder = who;
	});
	await new Promise((resolve) => setTimeout(resolve, 100));
	assert.match(holder, new RegExp(`process ${process.pid} `));
	await first[Symbol.asyncDispose]();
	await using _second = await second;
	assert.equal(await Lock.tryAcquire(path), undefined);
});

test("a killed holder holds nothing", async () => {
	const path = join(directory, "two");
	const script = `import { Lock } from ${JSON.stringify(join(import.meta.dirname, "lock.ts"))};
		await Lock.tryAcquire(${JSON.stringify(path)}); console.log("mine"); setInterval(() => {}, 1000);`;
	const holder = spawn(process.execPath, ["--input-type=module", "-e", script], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	await once(holder.stdout, "data");
	assert.equal(await Lock.tryAcquire(path), undefined);
	holder.kill("SIGKILL");
	await using lock = await Lock.acquire(path, () => undefined);
	assert.ok(lock);
});
