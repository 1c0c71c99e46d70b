import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { newId } from "@dormice/protocol";
import { newMachineId } from "../machines/machine.ts";
import { Native } from "../native.ts";
import { Logs } from "./logs.ts";

const skip = process.getuid?.() === 0 ? false : "needs root, as what starts machines does";
const MIB = 2 ** 20;
const data = mkdtempSync("/var/tmp/dormice-logs-");
after(() => rmSync(data, { recursive: true }));

/** Starts a shell as a machine is started. Resolves, when it has ended, to the most that its log took meanwhile. */
async function printed(log: string, script: string): Promise<{ code: number; mostBytes: number }> {
	const { path } = await Native.build(data);
	const child = spawn(path, ["launch", log, "--", "/bin/sh", "-c", script], { stdio: ["ignore", "ignore", "inherit"] });
	let mostBytes = 0;
	const look = setInterval(() => {
		const { blocks = 0, size = 0 } = statSync(log, { throwIfNoEntry: false }) ?? {};
		mostBytes = Math.max(mostBytes, size, blocks * 512);
	}, 1);
	const [code] = (await once(child, "exit")) as [number];
	clearInterval(look);
	await sleep(100);
	return { code, mostBytes };
}

test("what a machine prints stays short while it prints, and its newest lines are kept", { skip }, async () => {
	const log = join(data, "endless.log");
	const flood = "seq -f 'line %.0f of very many that nobody asked for' 1500000; echo the newest >&2";
	const { code, mostBytes } = await printed(log, flood);
	assert.equal(code, 0);
	assert.ok(mostBytes > MIB && mostBytes <= 2 * MIB, `${mostBytes} bytes`);
	const lines = readFileSync(log, "utf8").trimEnd().split("\n");
	assert.equal(lines.at(-1), "the newest");
	assert.equal(lines.at(-2), "line 1500000 of very many that nobody asked for");
	const first = Number(/^line (\d+) of very many/.exec(lines[0] ?? "")?.[1]);
	// None is missing between the oldest that is there and the newest.
	assert.equal(lines.length - 1, 1_500_000 - first + 1);
	assert.ok(statSync(log).size > MIB);
});

test("a host without room loses what is printed, and the machine neither fails nor waits", { skip }, async () => {
	const full = join(data, "full");
	mkdirSync(full);
	execFileSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", full]);
	try {
		const { code } = await printed(join(full, "a.log"), "set -e; head -c 8M /dev/zero; head -c 8M /dev/zero");
		assert.equal(code, 0);
	} finally {
		execFileSync("umount", [full]);
	}
});

test("a sandbox's log goes along from machine to machine without growing", async () => {
	const logs = new Logs(join(data, "adopting"));
	await logs.open([]);
	const id = newId("sandbox");
	for (let turn = 1; turn <= 4; turn++) {
		const machine = newMachineId();
		writeFileSync(logs.path(machine), "");
		await logs.adopt(machine, id);
		const lines = Array.from({ length: 40_000 }, (_, n) => `turn ${turn}, line ${n}\n`);
		writeFileSync(logs.path(id), lines.join(""), { flag: "a" });
		assert.ok(statSync(logs.path(id)).size <= 2 * MIB);
		assert.ok(!existsSync(logs.path(machine)));
	}
	const text = readFileSync(logs.path(id), "utf8");
	assert.match(text, /^turn \d, line \d+\n/);
	assert.match(text, /turn 3, line 39999\nturn 4, line 0\n/);
});

test("logs without a word and logs of machines that are gone are removed", async () => {
	const logs = new Logs(join(data, "leftovers"));
	await logs.open([]);
	const [living, silent, spoke] = [newId("sandbox"), newId("sandbox"), newId("sandbox")];
	const [machineOfLiving, gone] = [newMachineId(), newMachineId()];
	const contents = { [living]: "", [machineOfLiving]: "", [silent]: "", [spoke]: "said\n", [gone]: "said\n" };
	for (const [owner, text] of Object.entries(contents)) writeFileSync(logs.path(owner), text);
	await logs.open([{ id: living, machineId: machineOfLiving }]);
	const left = readdirSync(join(data, "leftovers/logs/sandboxes"));
	assert.deepEqual(left.sort(), [living, machineOfLiving, spoke].map((owner) => `${owner}.log`).sort());
	await logs.deleteIfEmpty(living);
	await logs.deleteIfEmpty(spoke);
	await logs.deleteIfEmpty(newId("sandbox"));
	assert.ok(!existsSync(logs.path(living)) && existsSync(logs.path(spoke)));
});
