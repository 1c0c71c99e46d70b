import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { identify, isAlive, parseStat, stopProcess, waitForEnd } from "./process.ts";

test("a stat line is read behind the program's name, whatever that holds", () => {
	const fields = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 987654 20";
	assert.deepEqual(parseStat(`77 (a) b) ${fields}`), { state: "S", startTicks: 987654 });
	assert.equal(parseStat("77 (cut off) S 1 2"), undefined);
});

test("a reused pid is another process", () => {
	const self = identify(process.pid);
	assert.ok(self);
	assert.ok(isAlive(self));
	assert.ok(!isAlive({ ...self, startTicks: self.startTicks + 1 }));
	assert.ok(!isAlive({ ...self, bootId: "another boot" }));
});

const rows: [what: string, script: string, graceful: boolean][] = [
	["one that listens goes by itself", "trap 'exit 0' TERM; echo $$; while :; do sleep 0.05; done", true],
	["one that does not is killed, with its children", "trap '' TERM; sleep 60 & echo $!; wait; wait", false],
];

for (const [what, script, graceful] of rows) {
	test(`stopping a process: ${what}`, async () => {
		const child = spawn("sh", ["-c", script], { detached: true, stdio: ["ignore", "pipe", "ignore"] });
		const [line] = (await once(child.stdout, "data")) as [Buffer];
		const [leader, last] = [child.pid ?? 0, Number(line.toString())].map(identify);
		assert.ok(leader && last);
		assert.equal(await stopProcess(leader, { signal: "SIGTERM", graceMs: 400 }), graceful);
		assert.ok(!isAlive(leader));
		assert.ok(await waitForEnd(last, 1_000));
	});
}
