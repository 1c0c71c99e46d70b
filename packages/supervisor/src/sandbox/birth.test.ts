import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { TestGuest } from "../testing.ts";

let guest: TestGuest;
let etc = "";

before(async () => {
	guest = await TestGuest.start();
	etc = join(guest.directory, "etc");
	mkdirSync(join(etc, "ssh"), { recursive: true });
	mkdirSync(join(etc, "dormice/hooks"), { recursive: true });
	const said = join(guest.directory, "said");
	writeFileSync(join(etc, "dormice/hooks/post-fork"), `#!/bin/sh\necho "$DORMICE_GENERATION" >> ${said}\n`);
	chmodSync(join(etc, "dormice/hooks/post-fork"), 0o755);
});
after(() => guest[Symbol.asyncDispose]());

async function init(birth: unknown): Promise<void> {
	const { status } = await guest.tell("/init", { method: "POST", body: JSON.stringify({ birth }) });
	assert.equal(status, 204);
}
const said = () =>
	existsSync(join(guest.directory, "said")) ? readFileSync(join(guest.directory, "said"), "utf8") : "";
const machineId = () => readFileSync(join(etc, "machine-id"), "utf8");

test("a sandbox of a template gets a machine id, and is no fork", async () => {
	await init({ machineID: "a".repeat(32) });
	assert.equal(machineId(), `${"a".repeat(32)}\n`);
	assert.equal(said(), "");
});

test("a fork gets a machine id and host keys of its own, and its hook runs once, however often it is told", async () => {
	writeFileSync(join(etc, "ssh/ssh_host_ed25519_key"), "old");
	writeFileSync(join(etc, "ssh/ssh_host_ed25519_key.pub"), "old");
	const birth = { machineID: "b".repeat(32), forkOf: "g1" };
	await init(birth);
	await init(birth);
	assert.equal(machineId(), `${"b".repeat(32)}\n`);
	assert.equal(said(), "g1\n");
	// Where there is no ssh-keygen, better no key than one that others have.
	const key = join(etc, "ssh/ssh_host_ed25519_key");
	assert.notEqual(existsSync(key) ? readFileSync(key, "utf8") : "", "old");
});

test("what is no birth changes nothing", async () => {
	for (const wrong of [undefined, "x", {}, { machineID: "../../etc" }, { machineID: "B".repeat(32) }])
		await init(wrong);
	assert.equal(machineId(), `${"b".repeat(32)}\n`);
});

test("a hook that hangs is ended after five seconds, and one that fails harms nothing", {
	timeout: 20_000,
}, async () => {
	writeFileSync(join(etc, "dormice/hooks/post-fork"), "#!/bin/sh\nexit 3\n");
	await init({ machineID: "c".repeat(32), forkOf: "g2" });
	writeFileSync(join(etc, "dormice/hooks/post-fork"), "#!/bin/sh\nsleep 1000\n");
	const beganAtMs = performance.now();
	await init({ machineID: "d".repeat(32), forkOf: "g3" });
	const tookMs = performance.now() - beganAtMs;
	assert.ok(tookMs > 4_000 && tookMs < 8_000, `${tookMs} ms`);
});
