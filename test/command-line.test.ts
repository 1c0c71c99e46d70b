import assert from "node:assert/strict";
import { execFile, execFileSync, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

/** The command line against a real platform: in the data directory that `dormice test` made for the tests. */
const MAIN = join(import.meta.dirname, "../packages/cli/src/main.ts");
const data = process.env.DORMICE_DATA;
const skip =
	data !== undefined && process.getuid?.() === 0 ? false : "needs root and a data directory; run it with: dormice test";

interface Status {
	running: boolean;
	processes: Record<string, { pid: number }>;
	sandboxes?: {
		running: number;
		dozing: number;
		asleep: number;
		paused: number;
		isolations: Record<string, number>;
	};
}

function dormice(...args: string[]): string {
	return execFileSync(process.execPath, [MAIN, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
}

function status(): Status {
	return JSON.parse(dormice("status", "--json")) as Status;
}

function pidOf(name: string): number {
	const pid = status().processes[name]?.pid;
	assert.ok(pid, `${name} runs`);
	return pid;
}

async function untilRunning(): Promise<void> {
	for (let turn = 0; turn < 100 && !status().running; turn++) await sleep(100);
	assert.ok(status().running);
}

interface Ended {
	code: number;
	stdout: string;
	/** What it said beside that: shown when a test fails. */
	stderr: string;
}

/** Runs a command in the sandbox with something piped in. */
function exec(id: string, command: string[], input = ""): Promise<Ended> {
	return new Promise((resolve) => {
		const child = execFile(process.execPath, [MAIN, "exec", id, "--", ...command], (error, stdout, stderr) => {
			resolve({ code: typeof error?.code === "number" ? error.code : 0, stdout, stderr });
		});
		child.stdin?.end(input);
	});
}

function printed(stdout: string): Ended {
	return { code: 0, stdout, stderr: "" };
}

/** What a platform could leave on the host, by the names it gives. */
function leftovers(): string[] {
	const mounts = readFileSync("/proc/self/mounts", "utf8").split("\n");
	const processes = readdirSync("/proc")
		.filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
		.map((pid) => (existsSync(`/proc/${pid}/cmdline`) ? readFileSync(`/proc/${pid}/cmdline`, "utf8") : ""));
	return [...mounts, ...processes].filter((text) => data !== undefined && text.includes(data));
}

let id = "";
/** What a sandbox gets unasked on this machine. */
let isolation = "";

before(() => {
	if (!skip) dormice("up", "--detach", "--port", "0");
});

after(() => {
	if (!skip) dormice("down");
});

test("a sandbox is made and worked in", { skip }, async () => {
	id = dormice("create", "--timeout", "3600", "--env", "COLOUR=brown", "--metadata", "a=b").trim();
	assert.deepEqual(await exec(id, ["sh", "-c", "cat; echo $COLOUR; exit 7"], "piped "), {
		code: 7,
		stdout: "piped brown\n",
		stderr: "",
	});
	const listed = JSON.parse(dormice("list", "--json")) as { sandboxId: string; isolation: string; metadata: unknown }[];
	isolation = listed[0]?.isolation ?? "";
	assert.match(isolation, /^(gvisor|microvm)$/);
	assert.deepEqual(
		listed.map(({ sandboxId, metadata }) => [sandboxId, metadata]),
		[[id, { a: "b" }]],
	);
});

test("asleep and awake: what was in memory is still there", { skip }, async () => {
	await exec(id, ["echo kept > /dev/shm/word; nohup sleep 1000 > /dev/null 2>&1 &"]);
	dormice("pause", id);
	const isolations = { [isolation]: 1 };
	assert.deepEqual(status().sandboxes, { running: 0, dozing: 0, asleep: 0, paused: 1, isolations });
	dormice("resume", id, "--timeout", "3600");
	assert.deepEqual(await exec(id, ["cat /dev/shm/word; pgrep -c sleep"]), printed("kept\n1\n"));
});

test("time travel: a checkpoint is looked at, forked and gone back to", { skip }, async () => {
	await exec(id, ["echo first > ~/told; echo first > /dev/shm/told"]);
	const generation = dormice("checkpoint", id, "--label", "before").trim();
	await exec(id, ["echo second > ~/told; echo second > /dev/shm/told; touch ~/more"]);
	assert.match(dormice("history", id), new RegExp(`^\\* +${generation} .*before`, "m"));
	assert.match(dormice("diff", id, "before"), /^A +\/home\/user\/more .*\nM +\/home\/user\/told /m);
	const told = ["cat ~/told /dev/shm/told; ls ~"];
	const fork = dormice("fork", id, "--from", "before", "--timeout", "600").trim();
	assert.deepEqual(await exec(fork, told), printed("first\nfirst\ntold\n"));
	assert.match(dormice("du"), new RegExp(fork));
	dormice("kill", fork);
	const undo = dormice("rollback", id, "before").trim();
	assert.deepEqual(await exec(id, told), printed("first\nfirst\ntold\n"));
	dormice("rollback", id, undo);
	assert.deepEqual(await exec(id, told), printed("second\nsecond\nmore\ntold\n"));
	assert.match(dormice("why", id), /alive: sleep 1000/);
	assert.match(dormice("gc", "--dry-run"), /^\d+ stored states, .* would be free$/m);
});

test("a template says how its sandboxes rest, a team what keeps them apart at least", { skip }, () => {
	interface Settings {
		settings: object;
		effective: { sleepAfterMs: number };
	}
	const set = (...args: string[]) => JSON.parse(dormice("template", "set", "base", "--json", ...args)) as Settings;
	const { settings, effective } = set("--sleep-after", "61", "--keep-daily", "3", "--isolation", isolation);
	assert.deepEqual(settings, { isolation, sleepAfterMs: 61_000, retention: { daily: 3 } });
	assert.equal(effective.sleepAfterMs, 61_000);
	assert.match(dormice("template", "show", "base"), /sleep-after +1 min +template\n/);
	assert.match(dormice("template", "list"), new RegExp(`^base .* ready .*${isolation}`, "m"));
	assert.match(dormice("template", "prepare", "base", "--isolation", isolation), /is ready for/);
	assert.deepEqual(set("--sleep-after", "default", "--keep-daily", "default", "--isolation", "default").settings, {
		retention: {},
	});
	assert.match(dormice("team", "set", "--minimum-isolation", isolation), new RegExp(`at least ${isolation}`));
	const other = dormice("create", "--isolation", isolation).trim();
	dormice("kill", other);
	assert.match(dormice("team", "set", "--minimum-isolation", "default"), /any isolation/);
});

for (const name of ["server", "engine"]) {
	test(`the ${name} is killed: another takes its place and the sandbox lives on`, { skip }, async () => {
		const pid = pidOf(name);
		process.kill(pid, "SIGKILL");
		await sleep(1_000);
		await untilRunning();
		assert.notEqual(pidOf(name), pid);
		assert.deepEqual(await exec(id, ["pgrep -c sleep"]), printed("1\n"));
	});
}

test("the keeper is killed: `up` adopts what it left, and is quick", { skip }, async () => {
	const { server, engine } = status().processes;
	process.kill(pidOf("keeper"), "SIGKILL");
	await sleep(100);
	dormice("up", "--detach");
	assert.deepEqual(
		{ ...status().processes, keeper: undefined, postgres: undefined },
		{
			server,
			engine,
			keeper: undefined,
			postgres: undefined,
		},
	);
	assert.deepEqual(await exec(id, ["pgrep -c sleep"]), printed("1\n"));
});

test("a setting that makes no sense, or that a running platform was not started with, is refused", { skip }, () => {
	const refused = (env: Record<string, string>) =>
		spawnSync(process.execPath, [MAIN, "up", "--detach"], { encoding: "utf8", env: { ...process.env, ...env } });
	const other = refused({ DORMICE_SPARES: "3" });
	assert.match(other.stderr, /already up .* to change DORMICE_SPARES, run `dormice down` first/);
	dormice("down");
	for (const name of ["DORMICE_SPARES", "DORMICE_POOL_GIB"]) {
		const { stderr, status } = refused({ [name]: "many" });
		assert.equal(status, 1);
		assert.match(stderr, new RegExp(`${name} must be .* Nothing was started or remembered`));
	}
	dormice("up", "--detach");
});

test("down leaves nothing running; up brings the sandbox back from its disk", { skip }, async () => {
	await exec(id, ["echo written > ~/file && sync"]);
	dormice("down");
	assert.deepEqual(leftovers(), []);
	dormice("up", "--detach");
	assert.deepEqual(await exec(id, ["cat ~/file"]), printed("written\n"));
	dormice("kill", id);
	assert.deepEqual(JSON.parse(dormice("list", "--json")), []);
});
