import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { newId } from "@dormice/protocol";
import { inside, TestEngine } from "./engine.ts";

const LIMITS = { cpuCount: 1, memoryMib: 512, diskMib: 256, pids: 512 };
const MIB = 2 ** 20;
/** A serial console, emulated, takes a minute for what is little to gVisor. */
const ROWS = [
	{ isolation: "gvisor", floodMiB: 200, to: "/proc/1/fd/1" },
	{ isolation: "microvm", floodMiB: 3, to: "/dev/console" },
] as const;

let engine: TestEngine;
let rootfsId = "";

before(async () => {
	engine = await TestEngine.open();
	for await (const message of engine.client.buildRootfs({ name: "base" })) rootfsId = message.rootfsId;
});
after(() => engine[Symbol.asyncDispose]());

async function says(id: string, line: string): Promise<boolean> {
	return (await engine.log(id)).split(/\r?\n/).includes(line);
}

for (const { isolation, floodMiB, to } of ROWS)
	test(`a ${isolation}'s root prints without end, with no engine to look: the host's disk and the supervisor do not mind`, async () => {
		const id = newId("sandbox");
		const source = { case: "rootfsId", value: rootfsId } as const;
		const booted = await engine.client.boot({ sandboxId: id, limits: LIMITS, source, isolation });
		const address = booted.sandbox?.address ?? "";
		const flood = async (floodMiB: number, last: string) => {
			const guest = await inside(address);
			// In the background: a command takes at most a minute.
			const script = `yes $(printf %099d 7) | head -c ${floodMiB}M > ${to}; printf '\\n%s\\n' ${last} > ${to}; touch /tmp/${last}`;
			await guest.run(`(${script}) > /dev/null 2>&1 &`);
		};
		const path = engine.logPath(id);
		let mostBytes = 0;
		const look = setInterval(() => {
			const { size, blocks } = statSync(path);
			mostBytes = Math.max(mostBytes, size, blocks * 512);
		}, 5);
		engine.signal("SIGSTOP");
		try {
			await flood(floodMiB, "newest");
			for (const deadline = Date.now() + 300_000; ; await sleep(200)) {
				const startedAt = performance.now();
				// A connection of its own each time: the supervisor goes on answering while its guest prints.
				const said = await (await inside(address)).run("test -e /tmp/newest && echo done || echo busy");
				assert.ok(performance.now() - startedAt < 30_000);
				if (said === "done") break;
				assert.ok(Date.now() < deadline);
			}
			await sleep(500);
		} finally {
			engine.signal("SIGCONT");
			clearInterval(look);
		}
		assert.ok(mostBytes > MIB && mostBytes <= 2 * MIB, `${mostBytes} bytes`);
		assert.ok(await says(id, "newest"));

		// It can be stored in the middle of that, and prints on once it goes on.
		await flood(floodMiB, "second");
		await sleep(300);
		const generationId = newId("generation");
		await engine.client.checkpoint({ sandboxId: id, generationId, memory: true, reason: "test" });
		await engine.client.destroy({ sandboxId: id, forget: true });
		const woken = newId("sandbox");
		await engine.client.restore({ sandboxId: woken, generationId, limits: LIMITS });
		for (const deadline = Date.now() + 300_000; !(await says(woken, "second")); await sleep(200)) {
			assert.ok(Date.now() < deadline);
			assert.ok(statSync(engine.logPath(woken)).size <= 2 * MIB);
		}
		await engine.client.destroy({ sandboxId: woken, forget: true });
		await engine.client.deleteGeneration({ generationId });
	});

test("a log without a word goes with its machine, and what a killed engine had ready goes with the next", async () => {
	const id = newId("sandbox");
	const source = { case: "rootfsId", value: rootfsId } as const;
	const { sandbox } = await engine.client.boot({ sandboxId: id, limits: LIMITS, source, isolation: "gvisor" });
	await inside(sandbox?.address ?? "");
	const generationId = newId("generation");
	await engine.client.checkpoint({ sandboxId: id, generationId, memory: true, reason: "test" });
	await engine.client.destroy({ sandboxId: id, forget: true });
	const woken = newId("sandbox");
	await engine.client.restore({ sandboxId: woken, generationId, limits: LIMITS });
	const isOfMachine = (name: string) => /^m[0-9a-f]{12}\.log$/.test(name);
	for (const deadline = Date.now() + 30_000; !(await engine.logs()).some(isOfMachine); await sleep(50))
		assert.ok(Date.now() < deadline);
	await engine.kill();
	await engine.start();
	assert.deepEqual((await engine.logs()).filter(isOfMachine), []);
	assert.equal(await engine.log(woken), "");
	await engine.client.destroy({ sandboxId: woken });
	assert.ok(!(await engine.logs()).includes(`${woken}.log`));
	await engine.client.deleteGeneration({ generationId });
});
