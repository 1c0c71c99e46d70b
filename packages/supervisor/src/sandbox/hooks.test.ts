import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { json, TestGuest } from "../testing.ts";

let guest: TestGuest;
before(async () => {
	guest = await TestGuest.start();
	mkdirSync(join(guest.directory, "etc/dormice/hooks"), { recursive: true });
});
after(() => guest[Symbol.asyncDispose]());

function install(name: string, script: string, mode = 0o755): void {
	const path = join(guest.directory, "etc/dormice/hooks", name);
	writeFileSync(path, `#!/bin/sh\n${script}\n`);
	chmodSync(path, mode);
}
const call = (hook: object) =>
	json<{ hooks: string[] }>(guest.tell("/dormice/hooks", { method: "POST", body: JSON.stringify({ hook }) }));

test("a hook runs with what it is to know, and the answer names those there are", async () => {
	assert.deepEqual(await call({ name: "pre-sleep" }), { hooks: [] });
	const told = join(guest.directory, "told");
	install("pre-sleep", `echo "$DORMICE_GAP_SECONDS $DORMICE_GENERATION $(id -u) $(pwd)" > ${told}; exit 3`);
	install("post-fork", "true", 0o644);
	assert.deepEqual(await call({ name: "pre-sleep", gapSeconds: 7.4, generation: "g1" }), { hooks: ["pre-sleep"] });
	assert.equal(readFileSync(told, "utf8"), `7 g1 ${process.getuid?.()} /\n`);
	const { hooks } = await json<{ hooks: string[] }>(guest.tell("/dormice/activity"));
	assert.deepEqual(hooks, ["pre-sleep"]);
	assert.equal((await guest.tell("/dormice/hooks", { method: "POST", body: '{"hook":{"name":"../x"}}' })).status, 400);
});

test("an introduction runs the hook it names before it is answered", async () => {
	const told = join(guest.directory, "woken");
	install("post-wake", `sleep 0.3; echo "$DORMICE_GAP_SECONDS" > ${told}`);
	const hook = { name: "post-wake", gapSeconds: 60, generation: "g2" };
	assert.equal((await guest.tell("/init", { method: "POST", body: JSON.stringify({ hook }) })).status, 204);
	assert.equal(readFileSync(told, "utf8"), "60\n");
	rmSync(told);
	assert.equal((await guest.tell("/init", { method: "POST", body: "{}" })).status, 204);
	assert.throws(() => readFileSync(told));
});

test("a hook that does not end is killed after 5 s; what it leaves running holds nobody up", async () => {
	install("pre-sleep", "sleep 60 & wait");
	const beganAtMs = performance.now();
	await call({ name: "pre-sleep" });
	const tookMs = performance.now() - beganAtMs;
	assert.ok(tookMs > 4_500 && tookMs < 6_500, `${tookMs} ms`);
	install("pre-sleep", "sleep 60 &");
	await call({ name: "pre-sleep" });
	assert.ok(performance.now() - beganAtMs - tookMs < 2_000);
});
