import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Keeper } from "./keeper.ts";
import { type PlatformPaths, platformPaths } from "./paths.ts";
import type { ProcessIdentity } from "./process.ts";
import { readRecord } from "./record.ts";
import { recordPath, type Service } from "./service.ts";

const directory = mkdtempSync(join(tmpdir(), "dormice-keeper-"));
after(() => rmSync(directory, { recursive: true }));

/** A platform in a directory of its own, run directory included. */
function newPaths(name: string): PlatformPaths {
	const data = join(directory, name);
	const paths = { ...platformPaths(data), run: join(data, "run") };
	mkdirSync(paths.run, { recursive: true });
	mkdirSync(paths.logs);
	return paths;
}

/** A stand-in for a service: says in a common diary when it starts and when it is asked to end. */
function standIn(paths: PlatformPaths, name: string): Service {
	const diary = join(paths.data, "diary");
	const pidFile = join(paths.data, `${name}.up`);
	const script = `trap 'rm -f ${pidFile}; echo stop ${name} >> ${diary}; exit' TERM
		echo start ${name} >> ${diary}; echo $$ > ${pidFile}; while :; do sleep 0.02; done`;
	return {
		name,
		title: `Start ${name}`,
		command: ["sh", "-c", script],
		env: { PATH: "/usr/bin:/bin" },
		stopSignal: "SIGTERM",
		stopGraceMs: 2_000,
		readiness: async () => (existsSync(pidFile) ? "ready" : "starting"),
	};
}

function diary(paths: PlatformPaths): string[] {
	return readFileSync(join(paths.data, "diary"), "utf8").trim().split("\n");
}

function processOf(paths: PlatformPaths, name: string): ProcessIdentity {
	const process = readRecord(recordPath(paths, name));
	assert.ok(process, `${name} should be running`);
	return process;
}

async function open(paths: PlatformPaths, services: Service[], lines: string[] = []): Promise<Keeper> {
	const keeper = await Keeper.tryOpen(paths, services, (line) => lines.push(line));
	assert.ok(keeper);
	return keeper;
}

async function until(what: string, condition: () => boolean): Promise<void> {
	for (let turn = 0; turn < 300; turn++) {
		if (condition()) return;
		await sleep(10);
	}
	assert.fail(`never happened: ${what}`);
}

test("services start in order and stop in reverse, and one keeper is enough", async () => {
	const paths = newPaths("order");
	const services = [standIn(paths, "a"), { ...standIn(paths, "b"), beforeStart: async () => undefined }];
	const keeper = await open(paths, services);
	await keeper.start(() => undefined);
	assert.equal(await Keeper.tryOpen(paths, services, () => undefined), undefined);
	await keeper.stop();
	assert.deepEqual(diary(paths), ["start a", "start b", "stop b", "stop a"]);
	assert.ok(!existsSync(recordPath(paths, "a")));
});

test("what is killed is started again within a second", async () => {
	const paths = newPaths("restart");
	await using keeper = await open(paths, [standIn(paths, "a")]);
	await keeper.start(() => undefined);
	const before = processOf(paths, "a");
	process.kill(before.pid, "SIGKILL");
	const killedAt = performance.now();
	await until("a new process", () => (readRecord(recordPath(paths, "a"))?.pid ?? before.pid) !== before.pid);
	assert.ok(performance.now() - killedAt < 1_000);
});

test("what an earlier keeper left behind is adopted, kept alive, and stopped", async () => {
	const paths = newPaths("adopt");
	const service = standIn(paths, "a");
	await leaveBehind(paths);
	const left = processOf(paths, "a");

	const lines: string[] = [];
	const keeper = await open(paths, [service], lines);
	await keeper.start(() => undefined);
	assert.deepEqual(processOf(paths, "a"), left);
	assert.match(lines[0] ?? "", /adopted/);
	process.kill(left.pid, "SIGKILL");
	await until("a successor", () => (readRecord(recordPath(paths, "a"))?.pid ?? left.pid) !== left.pid);
	await keeper.stop();
	assert.equal(readRecord(recordPath(paths, "a")), undefined);
});

test("a service that died holding something is started once more to give it back", async () => {
	const paths = newPaths("release");
	const released: string[] = [];
	const service = { ...standIn(paths, "a"), beforeStop: async () => void released.push("sandboxes") };
	await leaveBehind(paths);
	process.kill(processOf(paths, "a").pid, "SIGKILL");
	rmSync(join(paths.data, "a.up"));
	const heir = await open(paths, [service]);
	await heir.stop();
	assert.deepEqual(released, ["sandboxes"]);
	assert.equal(readRecord(recordPath(paths, "a")), undefined);
});

test("a service that cannot start is given up, with its log named", async () => {
	const paths = newPaths("broken");
	const broken: Service = {
		...standIn(paths, "a"),
		command: ["sh", "-c", "exit 3"],
		readiness: async () => "starting",
	};
	await using keeper = await open(paths, [broken]);
	await assert.rejects(
		keeper.start(() => undefined),
		/a ends again and again; read .*\/logs\/a\.log/,
	);
});

/** Runs a keeper in a process of its own and kills it, as an OOM killer would. */
async function leaveBehind(paths: PlatformPaths): Promise<void> {
	const service = standIn(paths, "a");
	const script = `
		import { existsSync } from "node:fs";
		import { Keeper } from ${JSON.stringify(join(import.meta.dirname, "keeper.ts"))};
		const service = ${JSON.stringify(service)};
		service.readiness = async () => existsSync(${JSON.stringify(join(paths.data, "a.up"))}) ? "ready" : "starting";
		const keeper = await Keeper.tryOpen(${JSON.stringify(paths)}, [service], () => undefined);
		await keeper.start(() => undefined);
		console.log("up");`;
	const keeper = spawn(process.execPath, ["--input-type=module", "-e", script], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	await once(keeper.stdout, "data");
	keeper.kill("SIGKILL");
	await once(keeper, "exit");
}
