import assert from "node:assert/strict";
import { execFile, execFileSync, type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

/** `exec` as people use it, on real terminals and pipes, against a real platform. */
const MAIN = join(import.meta.dirname, "../packages/cli/src/main.ts");
const DORMICE = [process.execPath, MAIN];
const skip =
	process.env.DORMICE_DATA !== undefined && process.getuid?.() === 0
		? false
		: "needs root and a data directory; run it with: dormice test";

type Step = ["expect" | "send", string] | ["resize", number, number] | ["hangup"];

let id = "";

function dormice(...args: string[]): string {
	return execFileSync(process.execPath, [MAIN, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
}

function exec(args: string[], options: { input?: string | Buffer } = {}): SpawnSyncReturns<Buffer> {
	return spawnSync(process.execPath, [MAIN, "exec", ...args], { input: options.input ?? "" });
}

async function onTerminal(args: string[], steps: Step[]) {
	const program = [join(import.meta.dirname, "terminal.py"), JSON.stringify(steps), ...DORMICE, ...args];
	const { stdout } = await promisify(execFile)("python3", program);
	const ended = JSON.parse(stdout) as { shown: string; code: number; missing: string | null };
	assert.equal(ended.missing, null, `the terminal shows ${ended.missing}; it showed ${JSON.stringify(ended.shown)}`);
	return ended;
}

/** Whether a process that says this word of itself runs in the sandbox. */
function runs(word: string): boolean {
	return exec([id, "--", `pgrep -f '[${word[0]}]${word.slice(1)}'`]).status === 0;
}

async function untilEnded(word: string): Promise<void> {
	for (let turn = 0; turn < 60 && runs(word); turn++) await sleep(100);
	assert.ok(!runs(word), `${word} has ended`);
}

describe("exec", { skip }, () => {
	before(() => {
		dormice("up", "--detach", "--port", "0");
		id = dormice("create", "--timeout", "3600").trim();
	});
	after(() => {
		// Other tests find the data directory as these did.
		dormice("kill", id);
		dormice("down");
	});

	test("on a terminal, what is typed reaches the command", async () => {
		const asks = ["exec", id, "--", "python3", "-c", "print('got', input('? '))"];
		const { shown, code } = await onTerminal(asks, [
			["expect", "? "],
			["send", "a word\r"],
			["expect", "got a word"],
		]);
		assert.equal(code, 0, shown);
	});

	test("Ctrl-C on a terminal interrupts the command, whose exit code passes", async () => {
		const waits = [
			"exec",
			id,
			"--",
			"bash",
			"-c",
			"trap 'echo caught; exit 7' INT; echo ready; while :; do sleep 0.1; done",
		];
		const { code } = await onTerminal(waits, [
			["expect", "ready"],
			["send", "\x03"],
			["expect", "caught"],
		]);
		assert.equal(code, 7);
	});

	test("the command's terminal is as large as ours, also when that changes", async () => {
		const shows = [
			"exec",
			id,
			"--",
			"bash",
			"-c",
			"stty size; trap 'stty size; exit' WINCH; while :; do sleep 0.1; done",
		];
		await onTerminal(shows, [
			["expect", "24 80"],
			["resize", 100, 40],
			["expect", "40 100"],
		]);
	});

	test("a closed terminal ends what ran there", async () => {
		await onTerminal(
			["exec", id, "--", "bash -c 'echo ready; exec -a on-a-terminal sleep 1000'"],
			[["expect", "ready"], ["hangup"]],
		);
		await untilEnded("on-a-terminal");
	});

	test("`connect` opens a shell; closing the terminal ends it", async () => {
		const steps: Step[] = [
			["expect", "$ "],
			["send", "exec -a in-a-shell sleep 1000\r"],
			["expect", "1000\r\n"],
			["hangup"],
		];
		await onTerminal(["connect", id], steps);
		await untilEnded("in-a-shell");
		assert.equal(
			(
				await onTerminal(
					["connect", id],
					[
						["expect", "$ "],
						["send", "exit 9\r"],
					],
				)
			).code,
			9,
		);
	});

	test("a pipe without a reader ends what wrote into it", async () => {
		const { stdout } = spawnSync("bash", [
			"-c",
			`"$0" "$1" exec ${id} -- yes | head -1; echo "\${PIPESTATUS[0]}"`,
			...DORMICE,
		]);
		assert.equal(stdout.toString(), "y\n141\n");
		await untilEnded("yes");
	});

	test("signals reach the command as what they are", async () => {
		for (const [signal, code] of [
			["SIGINT", 130],
			["SIGTERM", 143],
			["SIGQUIT", 131],
			["SIGHUP", 129],
		] as const) {
			const child = spawn(process.execPath, [MAIN, "exec", id, "--", "bash", "-c", "echo ready; exec sleep 1000"]);
			await once(child.stdout, "data");
			child.kill(signal);
			assert.deepEqual(await once(child, "exit"), [code, null], signal);
		}
		await untilEnded("sleep 1000");
	});

	test("bytes pass as they are, in both directions", () => {
		const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, at) => (at * 7) % 256));
		assert.ok(exec([id, "--", "cat"], { input: bytes }).stdout.equals(bytes));
		const told = JSON.parse(exec([id, "--json", "--", "printf 'a\\377'; echo err >&2; exit 3"]).stdout.toString());
		assert.deepEqual(told, { exitCode: 3, stdoutBase64: "Yf8=", stderr: "err\n" });
	});

	test("our own failures have codes of their own, a time-out another, and JSON tells of both", () => {
		const rows: [args: string[], code: number, told: object | undefined][] = [
			[["i00000000000000000000", "--", "true"], 125, undefined],
			[[id, "--cwd", "/nowhere", "--", "true"], 125, undefined],
			[[id, "--timeout", "1", "--", "echo before; sleep 9"], 124, undefined],
			[
				[id, "--timeout", "1", "--json", "--", "echo before; sleep 9"],
				124,
				{ exitCode: 124, timedOut: true, stdout: "before\n", stderr: "" },
			],
			[[id, "--", "no-such-program"], 127, undefined],
			[[id, "sh", "-c", "exit 5"], 5, undefined],
		];
		for (const [args, code, told] of rows) {
			const { status, stdout, stderr } = exec(args);
			assert.equal(status, code, `${args.join(" ")}: ${stderr}`);
			if (told) assert.deepEqual(JSON.parse(stdout.toString()), told);
		}
		const { error } = JSON.parse(exec(["i00000000000000000000", "--json", "--", "true"]).stdout.toString());
		assert.equal(error.reason, "sandbox_not_found");
	});

	test("input is only taken when it may be", () => {
		const script = `echo "one two" | while read -r word rest; do "$0" "$1" exec --no-interactive ${id} -- cat; echo "$rest"; done`;
		assert.equal(spawnSync("bash", ["-c", script, ...DORMICE]).stdout.toString(), "two\n");
		assert.equal(exec([id, "--", "head -1"], { input: "first\nsecond\n" }).stdout.toString(), "first\n");
		assert.match(exec(["-t", id, "tty"]).stdout.toString(), /^\/dev\/pts\/\d+\r\n$/);
		assert.match(exec(["-t", id, "cat"], { input: "typed\n" }).stdout.toString(), /typed\r\ntyped\r\n/);
	});

	test("a job in the background is given no terminal and no input, and is not stopped for it", async () => {
		const job = `set -m; "$0" "$1" exec ${id} -- 'cat; tty; echo done' & wait; echo over`;
		const program = [join(import.meta.dirname, "terminal.py"), JSON.stringify([["expect", "over"]]), "bash", "-c", job];
		const { stdout } = await promisify(execFile)("python3", [...program, ...DORMICE]);
		assert.match((JSON.parse(stdout) as { shown: string }).shown, /^not a tty\r\ndone\r\n/);
	});

	test("who is cut off by a checkpoint is told that the command goes on, and where to read on", async () => {
		const child = spawn(process.execPath, [MAIN, "exec", id, "--", "echo ready; sleep 5; echo later"]);
		let said = "";
		child.stderr.on("data", (data) => {
			said += data;
		});
		await once(child.stdout, "data");
		dormice("checkpoint", id);
		assert.deepEqual(await once(child, "close"), [125, null]);
		const [, pid = ""] = /cut off: .* dormice logs \S+ --process (\d+) --follow/.exec(said) ?? [];
		assert.equal(dormice("logs", id, "--process", pid, "--follow"), "ready\nlater\n", said);
	});

	test("what is detached runs on, and its output can be read", async () => {
		const pid = exec([id, "-d", "--", "echo told; exec -a detached sleep 1000"]).stdout.toString().trim();
		await sleep(300);
		assert.ok(runs("detached"));
		assert.equal(dormice("logs", id, "--process", pid), "told\n");
		exec([id, "--", "kill", pid]);
		await untilEnded("detached");
	});
});
