import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Sandbox } from "e2b";
import { type ClientOptions, census, instanceOf, TestPlatform } from "./platform.ts";

let platform: TestPlatform;
let client: ClientOptions;

const NOTHING = { mounts: 0, cgroups: 0, loopDevices: 0, disks: 0, sentries: 0 };

before(async () => {
	platform = await TestPlatform.up();
	client = platform.client;
});

after(async () => {
	await platform[Symbol.asyncDispose]();
	const { generations: _, ...left } = await census(platform.data);
	assert.deepEqual(left, NOTHING);
});

async function working() {
	const sandbox = await Sandbox.create("base", { ...client, timeoutMs: 600_000 });
	await sandbox.commands.run("echo disk > disk; sync; echo memory > /tmp/memory");
	return sandbox;
}

/** What the sandbox still has, once it answers again. */
async function remains(sandbox: Sandbox): Promise<string> {
	for (let tries = 0; ; tries++) {
		try {
			return (await sandbox.commands.run("cat disk /tmp/memory 2>/dev/null; true")).stdout;
		} catch (error) {
			if (tries > 100) throw error;
			await sleep(200);
		}
	}
}

async function messages(sandbox: Sandbox): Promise<string> {
	const headers = { "X-API-KEY": client.apiKey };
	return (await fetch(`${client.apiUrl}/sandboxes/${sandbox.sandboxId}/logs`, { headers })).text();
}

test("what runs lives on when the server, the engine or PostgreSQL is killed", async () => {
	const sandbox = await working();
	for (const victims of [["server"], ["engine"], ["postgres"], ["server", "engine"]] as const) {
		await platform.crash(...victims);
		await sleep(300);
		await platform.healthy();
		assert.equal(await remains(sandbox), "disk\nmemory\n", `after ${victims.join(" and ")}`);
	}
	assert.equal(await sandbox.kill(), true);
});

test("a keeper that was killed is succeeded by the next, which adopts what lives", async () => {
	const sandbox = await working();
	const pids = await Promise.all((["server", "engine", "postgres"] as const).map((name) => platform.pid(name)));
	await platform.crash("keeper");
	await sleep(200);
	await platform.dormice("up", "--detach");
	assert.deepEqual(
		await Promise.all((["server", "engine", "postgres"] as const).map((name) => platform.pid(name))),
		pids,
	);
	assert.equal(await remains(sandbox), "disk\nmemory\n");
	await sandbox.kill();
});

test("after a power cut, what slept sleeps on and what ran comes back from its disk, and says so", async () => {
	const [slept, ran] = [await working(), await working()];
	await slept.pause();
	await powerCut();
	await platform.dormice("up", "--detach");
	await platform.healthy();
	assert.equal(await remains(ran), "disk\n");
	assert.match(await messages(ran), /recovered/);
	assert.equal(await remains(await Sandbox.connect(slept.sandboxId, client)), "disk\nmemory\n");
	await Promise.all([slept.kill(), ran.kill()]);
});

test("a clean down and up is the same", async () => {
	const [slept, ran] = [await working(), await working()];
	await slept.pause();
	await platform.dormice("down");
	const { generations: _, disks, ...left } = await census(platform.data);
	assert.deepEqual({ ...left, disks }, NOTHING);
	await platform.dormice("up", "--detach");
	assert.equal(await remains(ran), "disk\n");
	assert.equal(await remains(await Sandbox.connect(slept.sandboxId, client)), "disk\nmemory\n");
	await Promise.all([slept.kill(), ran.kill()]);
});

/** Everything of the platform ends at once, sandboxes too, and what lives in memory is gone. */
async function powerCut(): Promise<void> {
	await platform.crash("keeper", "server", "engine", "postgres");
	const instance = instanceOf(platform.data);
	for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
		if (read(`/proc/${pid}/cgroup`).includes(`/dormice-${instance}`)) process.kill(Number(pid), "SIGKILL");
	}
	await sleep(300);
	const mounts = read("/proc/mounts")
		.split("\n")
		.map((line) => line.split(" ")[1] ?? "");
	const ours = mounts.filter((path) => path.startsWith(`/run/dormice/${instance}/`) || path.startsWith(platform.data));
	for (const path of ours.toReversed()) execFileSync("umount", ["-l", path]);
	for (const slot of readdirSync("/run/dormice/slots")) {
		if (read(`/run/dormice/slots/${slot}`) !== instance) continue;
		for (const side of ["guest", "router"]) execFileSync("ip", ["netns", "del", `dormice-${slot}-${side}`]);
		rmSync(`/run/dormice/slots/${slot}`);
	}
	rmSync(`/run/dormice/${instance}`, { recursive: true });
	execFileSync("sh", [
		"-c",
		`for d in /sys/fs/cgroup/*/dormice-${instance}; do rmdir $d/* $d; done 2> /dev/null; true`,
	]);
}

/** The file's text, or nothing when it went away. */
function read(path: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return "";
	}
}
