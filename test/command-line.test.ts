import assert from "node:assert/strict";
import { execFile, execFileSync, spawnSync } from "node:child_process";
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
import { tmpdir } from "node:os";
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

test("a sandbox is known by the beginning of its id, and told without what opens it", { skip }, () => {
	const short = id.slice(0, 8);
	assert.equal(dormice("ls", "-q", "--metadata", "a=b"), `${id}\n`);
	assert.equal(dormice("ps", "-q", "--metadata", "a=c"), "");
	const told = JSON.parse(dormice("inspect", short)) as Record<string, unknown>;
	assert.deepEqual([told.sandboxId, told.state, "envdAccessToken" in told], [id, "running", false]);
	assert.equal(typeof JSON.parse(dormice("inspect", short, "--show-token")).envdAccessToken, "string");
	const soon = Date.now() + 7_100_000;
	assert.ok(Date.parse(dormice("extend", short, "7200").trim()) > soon);
	assert.ok(Date.parse(dormice("extend", short, "60").trim()) > soon, "never sooner than it was");
	assert.match(dormice("url", short, "3000"), new RegExp(`^http://3000-${id}\\.localhost:\\d+/\n$`));
});

test("files and directories are copied in and out; links of a sandbox stay there", { skip }, async () => {
	const here = mkdtempSync(join(tmpdir(), "dormice-cp-"));
	mkdirSync(join(here, "tree/below"), { recursive: true });
	const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, at) => at % 256));
	writeFileSync(join(here, "tree/below/bytes"), bytes);
	writeFileSync(join(here, "tree/run me.sh"), "#!/bin/sh\n", { mode: 0o755 });
	dormice("cp", join(here, "tree"), `${id}:`);
	dormice("cp", join(here, "tree/below/bytes"), `${id}:/tmp/copied`);
	assert.deepEqual(
		await exec(id, [
			"cmp tree/below/bytes /tmp/copied && test -x 'tree/run me.sh' && ln -s /etc/passwd tree/link; echo $?",
		]),
		printed("0\n"),
	);
	const copied = spawnSync(process.execPath, [MAIN, "cp", `${id}:tree`, join(here, "back")], { encoding: "utf8" });
	assert.match(copied.stderr, /left out, as neither file nor directory: \/home\/user\/tree\/link/);
	assert.ok(readFileSync(join(here, "back/below/bytes")).equals(bytes));
	assert.ok((statSync(join(here, "back/run me.sh")).mode & 0o100) !== 0);
	assert.deepEqual(readdirSync(join(here, "back")).toSorted(), ["below", "run me.sh"]);
	rmSync(here, { recursive: true });
});

test("kill goes on past what is not there, and says so", { skip }, () => {
	const others = [dormice("create").trim(), dormice("create").trim()];
	const ended = spawnSync(process.execPath, [MAIN, "kill", others[0] ?? "", "nosuch", others[1] ?? "", "--json"], {
		encoding: "utf8",
	});
	const { killed, failed } = JSON.parse(ended.stdout) as { killed: string[]; failed: { sandboxId: string }[] };
	assert.deepEqual([ended.status, killed, failed.map(({ sandboxId }) => sandboxId)], [1, others, ["nosuch"]]);
	assert.match(ended.stderr, /"nosuch" doesn't exist/);
});

test("a key is made, is a member's, and is deleted", { skip }, () => {
	const { id: keyId, key, role } = JSON.parse(dormice("keys", "create", "an agent", "--json"));
	assert.equal(role, "member");
	const { E2B_API_URL } = JSON.parse(dormice("env", "--json"));
	const env = { ...process.env, E2B_API_KEY: key, E2B_API_URL, DORMICE_DATA: "/nonexistent" };
	const as = (...args: string[]) => spawnSync(process.execPath, [MAIN, ...args, "--json"], { encoding: "utf8", env });
	assert.equal(as("list").status, 0);
	assert.equal(JSON.parse(as("keys", "list").stdout).error.reason, "permission_denied");
	dormice("keys", "delete", keyId);
	assert.equal(JSON.parse(as("list").stdout).error.reason, "unauthenticated");
});

test("a port that is taken is told before anything is built, with who has it", { skip }, () => {
	const { E2B_API_URL } = JSON.parse(dormice("env", "--json"));
	const other = mkdtempSync(join(tmpdir(), "dormice-other-"));
	const { port } = new URL(E2B_API_URL);
	const { status, stderr } = spawnSync(process.execPath, [MAIN, "up", "--data", other, "--port", port], {
		encoding: "utf8",
	});
	assert.equal(status, 1);
	assert.match(stderr, new RegExp(`^dormice: Port ${port} on 127.0.0.1 is taken by the platform of ${data} `));
	assert.deepEqual(readdirSync(other), []);
	const { setUp, running } = JSON.parse(dormice("status", "--data", other, "--json"));
	assert.deepEqual([setUp, running], [false, false]);
	assert.match(dormice("status", "--data", other), /^There is no platform in /);
	rmSync(other, { recursive: true });
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
