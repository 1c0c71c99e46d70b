import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { newId } from "@dormice/protocol";
import { inside, refusedAs, TestEngine } from "./engine.ts";

const LIMITS = { cpuCount: 1, memoryMib: 256, diskMib: 256, pids: 256 };
const OWN_DISK = { case: "ownDisk", value: true } as const;
const MIB = 1 << 20;
const JOURNAL_ERRNO = 0x20;
type Isolation = "gvisor" | "microvm";

let engine: TestEngine;
let rootfsId = "";

before(async () => {
	engine = await TestEngine.open();
	for await (const message of engine.client.buildRootfs({ name: "base" })) rootfsId = message.rootfsId;
});
after(() => engine[Symbol.asyncDispose]());

/** A sandbox's disk, which nobody has mounted, with something on it. */
async function makeDisk() {
	const sandboxId = newId("sandbox");
	const source = { case: "rootfsId", value: rootfsId } as const;
	const { sandbox } = await engine.client.boot({ sandboxId, limits: LIMITS, source, isolation: "gvisor" });
	const guest = await inside(sandbox?.address ?? "");
	await guest.run("mkdir /root/many; for i in $(seq 200); do echo $i > /root/many/$i; done; sync");
	await engine.client.destroy({ sandboxId, keepDisk: true });
	return { sandboxId, image: join(engine.config.data, "pool/sandboxes", sandboxId, "disk.img") };
}

async function boot(sandboxId: string, isolation: Isolation) {
	const { sandbox } = await engine.client.boot({ sandboxId, limits: LIMITS, source: OWN_DISK, isolation });
	assert.ok(sandbox);
	return { ...sandbox, guest: await inside(sandbox.address) };
}

function debugfs(image: string, request: string): string {
	return execFileSync("debugfs", ["-w", "-R", request, image], {
		encoding: "utf8",
		stdio: ["ignore", "pipe", "ignore"],
	});
}

function blockSizeOf(image: string): number {
	return Number(/Block size:\s+(\d+)/.exec(debugfs(image, "stats -h"))?.[1]);
}

/** Overwrites some bytes of the first block of what debugfs names so. */
function damage(image: string, name: string, offset = 0): void {
	const [block = ""] = debugfs(image, `blocks ${name}`).trim().split(/\s+/);
	const file = openSync(image, "r+");
	writeSync(file, Buffer.alloc(4, 0x5a), 0, 4, Number(block) * blockSizeOf(image) + offset);
	closeSync(file);
}

const HURT: [string, (image: string) => void, RegExp, Isolation][] = [
	["not at all", () => undefined, /^$/, "gvisor"],
	["an error flag", (image) => debugfs(image, "ssv state 2"), /error flag/, "gvisor"],
	["an error flag, for a kernel of its own", (image) => debugfs(image, "ssv state 2"), /error flag/, "microvm"],
	["a journal that was given up", (image) => damage(image, "<8>", JOURNAL_ERRNO), /./, "gvisor"],
	["a directory that only the mount finds damaged", (image) => damage(image, "/work"), /[Dd]irectory/, "gvisor"],
	["an error flag and a damaged directory", hurtBoth, /[Dd]irectory/, "gvisor"],
];

function hurtBoth(image: string): void {
	debugfs(image, "ssv state 2");
	damage(image, "/upper/root");
}

for (const [what, hurt, repaired, isolation] of HURT) {
	test(`a disk that was hurt is mended before it is used: ${what}`, async () => {
		const { sandboxId, image } = await makeDisk();
		hurt(image);
		const first = await boot(sandboxId, isolation);
		assert.match(first.repaired, repaired);
		assert.equal(await first.guest.run("echo writable > /root/new; cat /root/new"), "writable");
		// What hung in a directory that was lost is in lost+found.
		if (what !== "an error flag and a damaged directory")
			assert.equal(await first.guest.run("cat /root/many/* | wc -l"), "200");
		await first.guest.run("sync");
		await engine.client.destroy({ sandboxId, keepDisk: true });
		assert.equal((await boot(sandboxId, "gvisor")).repaired, "", "once");
		await engine.client.destroy({ sandboxId, forget: true });
	});
}

test("a kernel of its own does not go on with a root that cannot be written, and its next boot finds it mended", async () => {
	const { sandboxId, image } = await makeDisk();
	damage(image, "/work");
	const request = { sandboxId, limits: LIMITS, source: OWN_DISK, isolation: "microvm" };
	assert.equal((await engine.client.boot(request)).sandbox?.repaired, "", "nothing says that it was hurt");
	const stateOf = async () =>
		(await engine.client.list({})).sandboxes.find((one) => one.sandboxId === sandboxId)?.state ?? "gone";
	for (const deadline = Date.now() + 120_000; (await stateOf()) !== "stopped"; await sleep(200))
		assert.ok(Date.now() < deadline, "it goes on");
	assert.match(await engine.log(sandboxId), /dormice-init: .*(Read-only|Structure|Bad message)/);
	await engine.client.destroy({ sandboxId, keepDisk: true });
	const again = await boot(sandboxId, "microvm");
	assert.match(again.repaired, /[Dd]irectory/);
	assert.equal(await again.guest.run("cat /root/many/* | wc -l"), "200");
	await engine.client.destroy({ sandboxId, forget: true });
});

test("a disk that cannot be mended is no sandbox, and stays for who looks at it", async () => {
	const { sandboxId, image } = await makeDisk();
	execFileSync("dd", ["if=/dev/zero", `of=${image}`, "bs=1M", "count=256", "conv=notrunc"], { stdio: "ignore" });
	for (const isolation of ["gvisor", "microvm"] as const)
		await refusedAs("disk_damaged", engine.client.boot({ sandboxId, limits: LIMITS, source: OWN_DISK, isolation }));
	const [left] = (await engine.client.list({})).sandboxes.filter((one) => one.sandboxId === sandboxId);
	assert.equal(left?.state, "stopped");
	await engine.client.destroy({ sandboxId, forget: true });
});

/** Takes all of the pool but so many bytes, until it is disposed of. */
function takePool(leaveBytes: number): Disposable {
	const pool = join(engine.config.data, "pool");
	const filler = join(pool, "filler");
	const { bsize, bavail } = statfsSync(pool);
	execFileSync("fallocate", ["-l", String(bsize * bavail - leaveBytes), filler]);
	return {
		[Symbol.dispose]: () => {
			rmSync(filler);
			execFileSync("sync", ["-f", pool]);
		},
	};
}

test("a guest cannot take the last of the pool: its disk is full before, whole, and grows again when there is room", async () => {
	const sandboxId = newId("sandbox");
	const source = { case: "rootfsId", value: rootfsId } as const;
	const limits = { ...LIMITS, memoryMib: 512, diskMib: 4096 };
	const { sandbox } = await engine.client.boot({ sandboxId, limits, source, isolation: "gvisor" });
	const guest = await inside(sandbox?.address ?? "");
	await guest.run("echo here > /root/here; sync");
	{
		using _ = takePool(700 * MIB);
		// The engine sees that little is left; a guest alone does not take all of a pool within a second.
		await sleep(1_500);
		assert.match(await guest.run("dd if=/dev/zero of=/root/much bs=1M count=3000 conv=fsync"), /No space left/);
		const { poolFreeBytes } = await engine.client.probe({});
		assert.ok(poolFreeBytes > 0n, "something is left");
		// Longer than a journal waits. What has its blocks is still written.
		for (let second = 0; second < 8; second++) {
			assert.equal(
				await guest.run("echo there | dd of=/root/here conv=notrunc,fsync status=none; cat /root/here"),
				"there",
			);
			await sleep(1_000);
		}
		assert.equal(await guest.run("rm /root/much; sync"), "");
	}
	const deadline = Date.now() + 10_000;
	while ((await guest.run("head -c 20M /dev/zero > /root/again && echo fits")) !== "fits")
		assert.ok(Date.now() < deadline, "it does not grow again");
	await engine.client.destroy({ sandboxId, keepDisk: true });
	assert.equal((await boot(sandboxId, "gvisor")).repaired, "", "it was never hurt");
	await engine.client.destroy({ sandboxId, forget: true });
});
