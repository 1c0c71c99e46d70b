import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Dormice } from "@dormice/sdk";
import { Sandbox } from "e2b";
import { TestPlatform } from "./platform.ts";

/** How often it sleeps meanwhile: five times takes half a minute. */
const CYCLES = Number(process.env.OUTPUT_CYCLES || 5);
/** Awake for so long each time. */
const AWAKE_MS = 1_500;

/** Prints the numbers from 1, with a breath every thousand until it has slept often enough. */
const LINES = 1_000_000;
const PRINTER = `
import os, sys, time
for i in range(1, ${LINES} + 1):
    sys.stdout.write(f"{i}\\n")
    if i % 1000 == 0:
        sys.stdout.flush()
        time.sleep(0.01 if os.path.exists("/tmp/enough") else ${Math.max(20, CYCLES * 5) / 1000})
sys.exit(7)`;

let platform: TestPlatform;
before(async () => {
	platform = await TestPlatform.up();
});
after(() => platform[Symbol.asyncDispose]());

test("a million lines are read across sleeps and a server's death, without a gap or a line twice", async () => {
	const { client } = platform;
	const lifecycle = { onTimeout: "pause", autoResume: true } as const;
	const sandbox = await Sandbox.create("base", { ...client, lifecycle, timeoutMs: 600_000 });
	await sandbox.files.write("/home/user/lines.py", PRINTER);
	const command = await sandbox.commands.run("exec python3 lines.py", { background: true, timeoutMs: 0 });
	const { pid } = command;
	// Else it asks the sandbox for its health when it is cut off, which wakes it.
	await command.disconnect();
	const { sandboxes } = new Dormice({ apiKey: client.apiKey, url: client.apiUrl, sandboxUrl: client.sandboxUrl });
	const output = (await sandboxes.get(sandbox.sandboxId)).output(pid);
	const reading = readNumbers(output);
	for (let round = 1; round <= CYCLES; round++) {
		await sleep(AWAKE_MS);
		await Sandbox.pause(sandbox.sandboxId, client);
		assert.equal(output.exitCode, undefined, "it still prints");
		const asleepAt = output.offset;
		await sleep(2_000);
		assert.equal(output.offset, asleepAt, "it sleeps on although somebody reads");
		await Sandbox.connect(sandbox.sandboxId, { ...client, timeoutMs: 600_000 });
		if (round === 3) {
			await platform.crash("server");
			await platform.healthy();
		}
	}
	await sandbox.commands.run("touch /tmp/enough");
	assert.equal(await reading, LINES);
	assert.equal(output.exitCode, 7);
	// Whoever comes later finds the newest of it, and is told when it asks for more.
	const again = (await sandboxes.get(sandbox.sandboxId)).output(pid, { from: (output.offset ?? 0) - 8, follow: false });
	assert.equal(Buffer.concat((await Array.fromAsync(again)).map(({ data }) => data)).toString(), `${LINES}\n`);
	await sandbox.kill();
});

test("numbered lines go on over supervisors that are killed inside", async () => {
	const sandbox = await Sandbox.create("base", platform.client);
	const bursts = "for b in 0 1 2 3 4 5; do seq $((b * 30000 + 1)) $((b * 30000 + 30000)); sleep 1; done; exit 7";
	const command = await sandbox.commands.run(bursts, { background: true, timeoutMs: 0 });
	await command.disconnect();
	const headers = { "X-Access-Token": token(sandbox) };
	const ask = async (path: string) => {
		for (;;) {
			const url = `${platform.client.sandboxUrl}/processes/${command.pid}${path}`;
			const to = { "E2b-Sandbox-Id": sandbox.sandboxId, "E2b-Sandbox-Port": "49983" };
			const answer = await fetch(url, { headers: { ...headers, ...to } });
			if (answer.status === 200) return answer;
			// Until the next supervisor listens.
			assert.equal(answer.status, 502, await answer.text());
			await sleep(50);
		}
	};
	const info = async () => (await (await ask("")).json()) as { exitCode?: number; output: { stdout: { end: number } } };
	for (let round = 0; round < 3; round++) {
		// In the quiet after a burst: what is read in the very moment of a death may be lost.
		for (let [before, end] = [-1, 0]; end === 0 || end !== before; ) {
			before = end;
			await sleep(150);
			end = (await info()).output.stdout.end;
		}
		await sandbox.commands.run("sudo pkill -9 -f supervisor.mjs").catch(() => undefined);
		await sleep(800);
	}
	while ((await info()).exitCode === undefined) await sleep(100);
	assert.equal((await info()).exitCode, 7);
	const text = await (await ask("/output?from=0&follow=false")).text();
	assert.equal(text, Array.from({ length: 180_000 }, (_, i) => `${i + 1}\n`).join(""));
	await sandbox.kill();
});

test("kept output is no longer to be had when newer has taken its room", async () => {
	const sandbox = await Sandbox.create("base", platform.client);
	const { pid } = await sandbox.commands.run("yes | head -c 40000000; sleep 60", { background: true, timeoutMs: 0 });
	const info = async () => {
		const headers = {
			"E2b-Sandbox-Id": sandbox.sandboxId,
			"E2b-Sandbox-Port": "49983",
			"X-Access-Token": token(sandbox),
		};
		const answer = await fetch(`${platform.client.sandboxUrl}/processes/${pid}`, { headers });
		return (await answer.json()) as { output: { stdout: { earliest: number; end: number } } };
	};
	while ((await info()).output.stdout.end < 40_000_000) await sleep(100);
	const { earliest } = (await info()).output.stdout;
	assert.ok(earliest > 20_000_000, `${earliest}`);
	const disk = await sandbox.commands.run(
		"sudo du -sb /var/lib/dormice/output | cut -f1; ls /var/lib/dormice/output || true",
	);
	assert.ok(Number.parseInt(disk.stdout, 10) < 17 << 20, disk.stdout);
	assert.match(disk.stderr, /Permission denied/);
	await assert.rejects(platform.dormice("logs", sandbox.sandboxId, "--process", `${pid}`, "--from", "0"), /are kept/);
	const told = await platform.dormice("logs", sandbox.sandboxId, "--process", `${pid}`, "--from", "39999990");
	assert.equal(told, "y\n".repeat(5));
	await sandbox.pause();
	await sandbox.kill();
});

/** Checks that the pieces are the numbers from 1, a line each, and answers the last. */
async function readNumbers(pieces: AsyncIterable<{ offset: number; data: Uint8Array }>): Promise<number> {
	let expected = 1;
	let offset = 0;
	let rest = "";
	for await (const piece of pieces) {
		assert.equal(piece.offset, offset);
		offset += piece.data.length;
		const lines = (rest + Buffer.from(piece.data).toString("latin1")).split("\n");
		rest = lines.pop() ?? "";
		for (const line of lines) assert.equal(line, String(expected++));
	}
	assert.equal(rest, "");
	return expected - 1;
}

function token(sandbox: Sandbox): string {
	return (sandbox as unknown as { envdAccessToken: string }).envdAccessToken;
}
