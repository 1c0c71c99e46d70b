import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { open, readdir, readFile, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ProcessName } from "../platform/platform.ts";
import type { Operation } from "./operation.ts";
import { until } from "./subject.ts";

const KILLABLE: readonly ProcessName[][] = [["server"], ["engine"], ["postgres"], ["server", "engine"]];
const FAULT_POINTS = [
	"checkpoint.begin",
	"checkpoint.memory",
	"checkpoint.disk",
	"checkpoint.went_on",
	"generation.manifest",
	"generation.name",
	"generation.flush",
	"checkpoint.paused",
	"resume.begin",
	"resume.done",
	"machine.launch",
];

/** What is killed, told to fail, or damaged. */
export const CRASHES: readonly Operation[] = [
	{
		name: "processes of the platform killed while it works",
		weight: 3,
		run: async (subject, { platform, random, say }) => {
			const victims = random.pick(KILLABLE);
			say(`    ${victims.join(" and ")}`);
			const work = random
				.pick([
					async () => void (await subject.pause()),
					async () => void (await subject.add()),
					async () => {
						await subject.pause();
						await subject.add();
					},
				])()
				.catch(() => undefined);
			await sleep(random.between(0, 700));
			await platform.crash(...victims);
			await work;
			await platform.healthy(60_000);
			await until("an addition", 60_000, () => subject.mustAdd());
		},
	},
	{
		name: "a checkpoint or start that fails, or dies with the engine",
		weight: 3,
		run: async (subject, { platform, random, faults, say }) => {
			const point = random.pick(FAULT_POINTS);
			const way = random.pick(["fail", "kill"]);
			say(`    ${point} ${way}`);
			writeFileSync(faults, `${point} ${way}\n`);
			const isLive = random.next() < 0.4;
			await (isLive ? subject.api("POST", "/checkpoints", {}) : subject.pause()).catch(() => undefined);
			await subject.add();
			writeFileSync(faults, "");
			await platform.healthy(60_000);
			await until("an addition", 60_000, () => subject.mustAdd());
		},
	},
	{
		name: "the sandbox's kernel killed: back from its disk",
		weight: 1,
		run: async (subject, { platform }) => {
			await subject.mustAdd();
			const record = join(platform.data, "run/sandboxes", `${subject.id}.json`);
			const { pid } = JSON.parse(await readFile(record, "utf8")) as { pid: number };
			assert.ok(pid > 1);
			process.kill(pid, "SIGKILL");
			await sleep(100);
			await subject.checkDisk();
			await subject.startWitness();
		},
	},
	{
		name: "the supervisor killed inside: what it started lives on",
		weight: 2,
		run: async (subject) => {
			const sandbox = await subject.connect();
			await sandbox.commands.run("sudo pkill -9 -f supervisor.mjs").catch(() => undefined);
			await subject.mustAdd();
			const { stdout } = await until("a command", 30_000, () => sandbox.commands.run("whoami"));
			assert.equal(stdout, "user\n");
			// It still knows whom to let in.
			const headers = { "E2b-Sandbox-Id": subject.id, "E2b-Sandbox-Port": "49983" };
			const { status } = await fetch(`${subject.client.sandboxUrl}/processes`, { headers });
			assert.equal(status, 401, "a supervisor that was started anew lets strangers in");
		},
	},
	{
		name: "a stored state damaged while it sleeps",
		weight: 1,
		run: async (subject, { platform, random, say }) => {
			await subject.check();
			await subject.pause();
			const [newest] = (await subject.api("GET", "/generations")) as { generationID: string }[];
			assert.ok(newest, "a sleeping sandbox has a stored state");
			const memory = join(platform.data, "pool/generations", newest.generationID, "memory");
			const name = random.pick((await readdir(memory)).toSorted());
			const file = join(memory, name);
			const { size } = await stat(file);
			const isCut = random.next() < 0.5;
			say(`    ${name} ${isCut ? "truncated" : "with a bit flipped"}`);
			if (isCut) await truncate(file, Math.max(0, size - random.between(1, 8192)));
			else await flipBit(file, random.between(0, size - 1));
			await assert.rejects(subject.connect(), /damaged/);
			// What was in memory cannot be had back; what is on the disk can.
			await subject.api("POST", "/connect", { timeout: 3_600, memory: false });
			await subject.checkDisk();
			await subject.startWitness();
		},
	},
];

async function flipBit(path: string, at: number): Promise<void> {
	await using file = await open(path, "r+");
	const byte = Buffer.alloc(1);
	await file.read(byte, 0, 1, at);
	byte[0] = (byte[0] ?? 0) ^ 1;
	await file.write(byte, 0, 1, at);
}
