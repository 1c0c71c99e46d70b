import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fromConnectError, newId } from "@dormice/protocol";
import { inside, refusedAs, TestEngine } from "./engine.ts";
import { Swap } from "./swap.ts";

const LIMITS = { cpuCount: 1, memoryMib: 512, diskMib: 256, pids: 512 };
/** Machines are started ahead a moment after one was taken, for each isolation that was asked for. */
const READY_WITHIN_MS = 5_000;
const IDLE_FOR_MS = 3_000;
const ISOLATIONS = ["gvisor", "microvm"] as const;
type Isolation = (typeof ISOLATIONS)[number];

let engine: TestEngine;
let rootfsId = "";

before(async () => {
	engine = await TestEngine.open();
	for await (const message of engine.client.buildRootfs({ name: "base" })) rootfsId = message.rootfsId;
});

after(async () => {
	for (const generation of Object.values(booted))
		await engine.client.deleteGeneration({ generationId: await generation });
	await engine[Symbol.asyncDispose]();
});

/** A sandbox that has just been booted, or goes on from where one was: emulated, a boot takes as long as all the rest. */
async function fresh(isolation: Isolation) {
	const sandboxId = newId("sandbox");
	booted[isolation] ??= bootOnce(isolation);
	const generationId = await booted[isolation];
	const { sandbox } = await engine.client.restore({ sandboxId, generationId, limits: LIMITS });
	assert.ok(sandbox);
	return { id: sandboxId, ...sandbox };
}

const booted: Partial<Record<Isolation, Promise<string>>> = {};

async function bootOnce(isolation: Isolation): Promise<string> {
	const { id, address } = await boot(isolation);
	await inside(address);
	const { generationId } = await store(id);
	await destroyed(id);
	return generationId;
}

async function boot(isolation: Isolation) {
	const sandboxId = newId("sandbox");
	const source = { case: "rootfsId", value: rootfsId } as const;
	const { sandbox } = await engine.client.boot({ sandboxId, limits: LIMITS, source, isolation });
	assert.ok(sandbox);
	return { id: sandboxId, ...sandbox };
}

async function store(sandboxId: string, memory = true) {
	const generationId = newId("generation");
	const { generation } = await engine.client.checkpoint({ sandboxId, generationId, memory, reason: "test" });
	assert.ok(generation);
	return generation;
}

async function destroyed(sandboxId: string) {
	const machineId = await engine.machineOf(sandboxId);
	await engine.client.destroy({ sandboxId, forget: true });
	assert.deepEqual(await engine.traces(sandboxId), []);
	if (machineId) assert.deepEqual(await engine.traces(machineId), []);
}

async function stateOf(sandboxId: string) {
	return (await engine.client.list({})).sandboxes.find((one) => one.sandboxId === sandboxId)?.state;
}

async function generations() {
	return (await engine.client.listGenerations({})).generations.map((one) => one.generationId).sort();
}

for (const isolation of ISOLATIONS) describe(`a ${isolation} on this host`, () => rows(isolation));

function rows(isolation: Isolation): void {
	test("boots, knows its limits, and leaves nothing behind", async () => {
		const { id, address, isolation: used, pid } = await boot(isolation);
		assert.equal(used, isolation);
		assert.ok(pid > 0);
		const guest = await inside(address);
		const totalMiB = Number(await guest.run("awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo"));
		// A kernel of its own takes its share of it.
		const least = isolation === "microvm" ? 440 : 512;
		assert.ok(totalMiB >= least && totalMiB < 1024, `it sees ${totalMiB} MiB`);
		assert.match(await guest.run("df -m --output=size / | tail -1"), /^\s*2\d\d$/);
		const stats = await engine.client.stats({ sandboxId: id });
		assert.ok(stats.memoryBytes > 1_000_000n && stats.cpuUsageUs > 0n);
		const { report } = await engine.client.diagnose({ sandboxId: id });
		assert.match(report, /^{"state":"running"/);
		assert.match(report, isolation === "microvm" ? /CR3=/ : /\(\*Task\)\.run\(/);
		await destroyed(id);
	});

	test("reaches neither host nor private ranges nor another sandbox", async () => {
		const [one, other] = await Promise.all([fresh(isolation), fresh(isolation)]);
		const guest = await inside(one.address);
		await inside(other.address);
		const host = one.address.replace(/\d+$/, (last) => String(Number(last) - 1));
		for (const target of [`${host}:22`, `${other.address}:49983`, "10.0.0.1:22", "169.254.169.254:80", "1.1.1.1:80"]) {
			const [address, port] = target.split(":");
			const said = await guest.run(`timeout 1 bash -c '</dev/tcp/${address}/${port}' && echo reached || echo no`);
			assert.match(said, /no$/, target);
		}
		await Promise.all([destroyed(one.id), destroyed(other.id)]);
	});

	test("goes on after a checkpoint, and after one that failed or was called off", async () => {
		const { id, address } = await fresh(isolation);
		const before = await generations();
		const guest = await inside(address);
		await guest.run("echo before > /tmp/memory");
		const generation = await store(id);
		assert.equal(await stateOf(id), "paused");
		await engine.client.resume({ sandboxId: id });
		assert.equal(await (await inside(address)).run("cat /tmp/memory"), "before");

		await engine.failAt("checkpoint.memory");
		await assert.rejects(store(id));
		await engine.failAt("");
		assert.equal(await stateOf(id), "running");
		assert.equal(await (await inside(address)).run("cat /tmp/memory"), "before");

		const request = { sandboxId: id, generationId: newId("generation"), memory: true, reason: "test" };
		await assert.rejects(engine.client.checkpoint(request, { signal: AbortSignal.timeout(30) }));
		// In its turn: when the engine is done with the other.
		await engine.client.resume({ sandboxId: id });
		assert.equal(await stateOf(id), "running");
		assert.equal(await (await inside(address)).run("cat /tmp/memory"), "before");
		await engine.client.deleteGeneration({ generationId: generation.generationId });
		assert.deepEqual(await generations(), before);
		await destroyed(id);
	});

	test("is taken as it goes on: it runs before what was taken is durable, and whatever fails then leaves it running", async () => {
		const before = await generations();
		const { id, address } = await fresh(isolation);
		await (await inside(address)).run("echo memory > /tmp/memory; echo disk > /root/disk");
		const capture = async () => {
			const states: (string | undefined)[] = [];
			let stored = "";
			const generationId = newId("generation");
			for await (const { generation } of engine.client.capture({
				sandboxId: id,
				generationId,
				memory: true,
				reason: "test",
			})) {
				states.push(await stateOf(id));
				stored = generation?.generationId ?? "";
			}
			assert.deepEqual(states, ["running", "running"]);
			return stored;
		};
		const generationId = await capture();
		const guest = await inside(address);
		await guest.run("echo later > /tmp/memory; echo later > /root/disk; sync");
		for (const point of ["checkpoint.memory", "checkpoint.disk", "checkpoint.went_on", "generation.flush"]) {
			await engine.failAt(point);
			await refusedAs("command_failed", capture());
			assert.equal(await stateOf(id), "running", point);
		}
		// Where it cannot even be told to go on, it stands, and whoever asked is told.
		await engine.failAt("resume.begin");
		await refusedAs("command_failed", capture());
		await engine.failAt("");
		assert.equal(await stateOf(id), "paused");
		await engine.client.resume({ sandboxId: id });
		assert.equal(await (await inside(address)).run("cat /tmp/memory /root/disk"), "later\nlater");

		const woken = newId("sandbox");
		const { sandbox } = await engine.client.restore({ sandboxId: woken, generationId, limits: LIMITS });
		assert.equal(await (await inside(sandbox?.address ?? "")).run("cat /tmp/memory /root/disk"), "memory\ndisk");
		await Promise.all([destroyed(id), destroyed(woken)]);
		await engine.client.deleteGeneration({ generationId });
		assert.deepEqual(await generations(), before);
	});

	test("wakes with memory and disk as stored; boots cold from the same generation with its disk alone", async () => {
		const { id, address } = await fresh(isolation);
		const guest = await inside(address);
		const bootId = await guest.run("cat /proc/sys/kernel/random/boot_id");
		await guest.run("echo memory > /tmp/memory; echo disk > /root/disk; sync");
		const { generationId } = await store(id);
		await destroyed(id);

		const woken = newId("sandbox");
		const { sandbox } = await engine.client.restore({ sandboxId: woken, generationId, limits: LIMITS });
		const same = await inside(sandbox?.address ?? "");
		assert.equal(
			await same.run("cat /tmp/memory /root/disk /proc/sys/kernel/random/boot_id"),
			`memory\ndisk\n${bootId}`,
		);
		// What it writes now is its own: the generation stays as it is.
		await same.run("echo changed > /root/disk; sync");
		await destroyed(woken);

		const cold = newId("sandbox");
		const source = { case: "generationId", value: generationId } as const;
		const again = await engine.client.boot({ sandboxId: cold, limits: LIMITS, source, isolation });
		const anew = await inside(again.sandbox?.address ?? "");
		assert.match(await anew.run("cat /tmp/memory"), /No such file/);
		assert.equal(await anew.run("cat /root/disk"), "disk");
		assert.notEqual(await anew.run("cat /proc/sys/kernel/random/boot_id"), bootId);
		await destroyed(cold);
		await engine.client.deleteGeneration({ generationId });
	});

	test("wakes in a machine that was started ahead, with its own disk, network and log", async () => {
		const { id, address } = await fresh(isolation);
		const guest = await inside(address);
		await guest.run("echo memory > /tmp/memory; echo disk > /root/disk; sync");
		const { generationId } = await store(id);
		await destroyed(id);
		const wake = async () => {
			const sandboxId = newId("sandbox");
			const { sandbox } = await engine.client.restore({ sandboxId, generationId, limits: LIMITS });
			return { sandboxId, guest: await inside(sandbox?.address ?? ""), machine: await engine.machineOf(sandboxId) };
		};
		// The first one makes the engine keep machines of this size.
		await destroyed((await wake()).sandboxId);
		await sleep(READY_WITHIN_MS);
		const waiting = await engine.machines();
		assert.ok(waiting.length > 0);
		const cpuUs = () => Promise.all(waiting.map((machineId) => engine.cpuUsOf(machineId)));
		const used = await cpuUs();
		await sleep(IDLE_FOR_MS);
		assert.deepEqual(await cpuUs(), used, "what is kept ready uses no CPU");
		const [one, other] = [await wake(), await wake()];
		for (const { guest, machine } of [one, other]) {
			assert.ok(waiting.includes(machine ?? ""), `${machine} was not ready ahead`);
			assert.equal(await guest.run("cat /tmp/memory /root/disk"), "memory\ndisk");
			await guest.run(`echo ${machine} > /root/disk; sync`);
		}
		for (const { sandboxId, guest, machine } of [one, other]) {
			assert.equal(await guest.run("cat /root/disk"), machine);
			await guest.run("echo said by init > /proc/1/fd/1");
			assert.match(await engine.log(sandboxId), /said by init/);
			// It can be stored again, and what comes of that is whole.
			const again = await store(sandboxId);
			const { found, written } = await engine.sumsOf(again.generationId);
			assert.deepEqual(found, written);
			await destroyed(sandboxId);
			await engine.client.deleteGeneration({ generationId: again.generationId });
		}
		await engine.client.deleteGeneration({ generationId });
	});

	if (isolation === "gvisor")
		test("says which deleted file keeps its memory from being stored, and runs on", async () => {
			const { id, address } = await fresh(isolation);
			const guest = await inside(address);
			await guest.run("(exec 3> /root/doomed; rm /root/doomed; touch /tmp/held; sleep 60) > /dev/null 2>&1 &");
			await guest.run("until [ -e /tmp/held ]; do sleep 0.1; done");
			await assert.rejects(store(id), (error) => {
				const { reason, message } = fromConnectError(error, "internal");
				return reason === "not_storable" && message.includes("/root/doomed");
			});
			assert.equal(await stateOf(id), "running");
			const { generationId } = await store(id, false);
			await destroyed(id);
			await engine.client.deleteGeneration({ generationId });
		});

	if (isolation === "gvisor")
		test("stores nothing of processes that are long gone", async () => {
			const { id, address } = await fresh(isolation);
			const guest = await inside(address);
			const stateBytes = async () => {
				const { generationId } = await store(id);
				const { written } = await engine.sumsOf(generationId);
				await engine.client.deleteGeneration({ generationId });
				return written.find(({ name }) => name === "checkpoint.img")?.bytes ?? 0;
			};
			const before = await stateBytes();
			await engine.client.resume({ sandboxId: id });
			await guest.run("for i in $(seq 150); do cat /proc/self/stat /proc/self/status > /dev/null; done");
			const after = await stateBytes();
			assert.ok(before > 0 && after < before * 1.25, `${before} bytes of kernel state became ${after}`);
			await destroyed(id);
		});

	test("stands still while frozen", async () => {
		const { id, address } = await fresh(isolation);
		const guest = await inside(address);
		await guest.run("(while :; do echo x >> /tmp/ticks; sleep 0.05; done) > /dev/null 2>&1 &");
		await engine.client.freeze({ sandboxId: id });
		const { cpuUsageUs } = await engine.client.stats({ sandboxId: id });
		await sleep(300);
		assert.equal((await engine.client.stats({ sandboxId: id })).cpuUsageUs, cpuUsageUs);
		assert.equal(await stateOf(id), "frozen");
		await refusedAs("state_conflict", store(id));
		assert.equal(await (await engine.thawLine())(`7 ${id}`), "7");
		assert.ok(Number(await (await inside(address)).run("wc -l < /tmp/ticks")) > 0);
		await destroyed(id);
	});

	test("fills its own disk and nobody else's", async () => {
		const { id, address } = await fresh(isolation);
		const guest = await inside(address);
		const { poolFreeBytes } = await engine.client.probe({});
		assert.match(await guest.run("dd if=/dev/zero of=/root/full bs=1M"), /No space left on device/);
		const { poolFreeBytes: freeNow } = await engine.client.probe({});
		assert.ok(poolFreeBytes - freeNow < 400n << 20n);
		await guest.run("rm /root/full");
		assert.equal(await guest.run("echo fits > /root/again && cat /root/again"), "fits");
		await destroyed(id);
	});

	test("gives back to the host what its guest frees", async () => {
		const { id, address } = await fresh(isolation);
		const guest = await inside(address);
		const usedMiB = async () => Number((await engine.client.stats({ sandboxId: id })).memoryBytes >> 20n);
		await guest.run("head -c 8M /dev/urandom > /dev/shm/kept; md5sum /dev/shm/kept > /tmp/sum");
		await guest.run("head -c 100M /dev/urandom > /dev/shm/much");
		const mostMiB = await usedMiB();
		await guest.run("rm /dev/shm/much");
		for (const deadline = Date.now() + 30_000; (await usedMiB()) > mostMiB - 60; await sleep(200))
			assert.ok(Date.now() < deadline, `${mostMiB} MiB, and ${await usedMiB()} half a minute after`);
		// What takes the same pages again finds nothing of what was there, and what was kept is whole.
		assert.equal(await guest.run("head -c 100M /dev/zero > /dev/shm/again; tr -d '\\0' < /dev/shm/again | wc -c"), "0");
		assert.match(await guest.run("md5sum -c /tmp/sum"), /OK/);
		await destroyed(id);
	});

	if (isolation === "microvm")
		test("ends the program that takes more memory than there is, and lives on", async () => {
			const { id, address } = await fresh(isolation);
			const guest = await inside(address);
			assert.match(await guest.run("python3 -c 'x = bytearray(900 << 20)'"), /MemoryError|Killed/);
			assert.equal(await guest.run("echo well"), "well");
			await destroyed(id);
		});
	else
		for (const where of ["", ", on a host with swap too"]) {
			test(`dies alone of taking more memory than it has${where}, and comes back from its disk`, async (context) => {
				using host = new DisposableStack();
				try {
					if (where !== "") host.use(new Swap());
				} catch (error) {
					return context.skip(`this host takes no swap file: ${String(error)}`);
				}
				await diesAlone();
			});
		}

	test("lives on when the engine is killed, and the next engine finds it", async () => {
		const { id, address } = await fresh(isolation);
		await (await inside(address)).run("echo here > /tmp/here");
		const { generationId } = await store(id);
		await engine.kill();
		await engine.start();
		// It stood still after the checkpoint, and the new engine knows.
		assert.equal(await stateOf(id), "paused");
		await engine.client.resume({ sandboxId: id });
		assert.equal(await (await inside(address)).run("cat /tmp/here"), "here");
		process.kill((await engine.client.list({})).sandboxes.find((one) => one.sandboxId === id)?.pid ?? 0, "SIGKILL");
		await sleep(200);
		assert.equal(await stateOf(id), "stopped");
		await destroyed(id);
		await engine.client.deleteGeneration({ generationId });
	});

	test("is removed whole when its start fails", async () => {
		await engine.failAt("machine.launch");
		const before = await engine.machines();
		const sandboxId = newId("sandbox");
		const source = { case: "rootfsId", value: rootfsId } as const;
		await refusedAs("command_failed", engine.client.boot({ sandboxId, limits: LIMITS, source }));
		await engine.failAt("");
		assert.deepEqual(await engine.traces(sandboxId), []);
		assert.deepEqual(await engine.machines(), before);
	});
}

async function diesAlone(): Promise<void> {
	const [hungry, other] = await Promise.all([fresh("gvisor"), fresh("gvisor")]);
	const guest = await inside(hungry.address);
	await guest.run("echo kept > /root/kept; sync");
	// Its connection ends with nobody to say so: the host tells.
	guest.run("timeout 20 python3 -c 'x = bytearray(900 << 20)'").catch(() => "the sandbox went away");
	for (let i = 0; i < 400 && (await stateOf(hungry.id)) !== "stopped"; i++) await sleep(50);
	assert.equal(await stateOf(hungry.id), "stopped");
	assert.match(await (await inside(other.address)).run("echo well"), /well/);
	await engine.client.destroy({ sandboxId: hungry.id, keepDisk: true });
	const source = { case: "ownDisk", value: true } as const;
	const { sandbox } = await engine.client.boot({ sandboxId: hungry.id, limits: LIMITS, source });
	assert.equal(await (await inside(sandbox?.address ?? "")).run("cat /root/kept"), "kept");
	await Promise.all([destroyed(hungry.id), destroyed(other.id)]);
}
