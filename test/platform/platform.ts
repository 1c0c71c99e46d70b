import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
const DORMICE = join(import.meta.dirname, "../../dormice");

export type ClientOptions = { apiKey: string; apiUrl: string; sandboxUrl: string };
export type ProcessName = "server" | "engine" | "postgres" | "keeper";

/** A real platform in the tests' data directory, used as its users do: by its command and the published client. */
export class TestPlatform implements AsyncDisposable {
	readonly data: string;
	readonly client: ClientOptions;

	private constructor(data: string, client: ClientOptions) {
		this.data = data;
		this.client = client;
	}

	static async up(environment: Record<string, string> = {}): Promise<TestPlatform> {
		const data = testData();
		await run(DORMICE, ["up", "--data", data, "--port", "0", "--detach"], { env: { ...process.env, ...environment } });
		const { stdout } = await run(DORMICE, ["env", "--data", data]);
		const value = (name: string) => new RegExp(`export ${name}='?([^'\n]+)`).exec(stdout)?.[1] ?? "";
		const client = { apiKey: value("E2B_API_KEY"), apiUrl: value("E2B_API_URL"), sandboxUrl: value("E2B_SANDBOX_URL") };
		return new TestPlatform(data, client);
	}

	/** Runs the `dormice` command on this platform; rejects when it fails. */
	async dormice(...args: string[]): Promise<string> {
		const [command = "", ...rest] = args;
		return (await run(DORMICE, [command, "--data", this.data, ...rest])).stdout;
	}

	async pid(name: ProcessName): Promise<number> {
		const { processes } = JSON.parse(await this.dormice("status", "--json")) as {
			processes: Partial<Record<ProcessName, { pid: number }>>;
		};
		const pid = processes[name]?.pid;
		if (!pid) throw new Error(`no ${name} runs`);
		return pid;
	}

	/** Kills processes of the platform as a crash does, all in one moment. */
	async crash(...names: ProcessName[]): Promise<void> {
		const pids = await Promise.all(names.map((name) => this.pid(name)));
		for (const pid of pids) process.kill(pid, "SIGKILL");
	}

	/** Resolves when the platform answers, and stays so. */
	async healthy(deadlineMs = 30_000): Promise<void> {
		const deadline = Date.now() + deadlineMs;
		for (;;) {
			const response = await fetch(`${this.client.apiUrl}/health`).catch(() => undefined);
			if (response?.status === 204) return;
			if (Date.now() > deadline) throw new Error(`the platform is not healthy: ${await response?.text()}`);
			await sleep(50);
		}
	}

	/** A request to a sandbox's port through the gateway. */
	request(sandboxId: string, port: number, init: RequestInit = {}): Promise<Response> {
		const headers = { "E2b-Sandbox-Id": sandboxId, "E2b-Sandbox-Port": String(port) };
		return fetch(this.client.sandboxUrl, { signal: AbortSignal.timeout(30_000), ...init, headers });
	}

	/** The last warnings and errors that its server and engine logged, for whoever reads of a failed test. */
	async lastWarnings(count = 20): Promise<string[]> {
		const logs = ["engine", "server"].map((name) => readFile(join(this.data, "logs", `${name}.log`), "utf8"));
		const lines = (await Promise.all(logs)).join("").split("\n");
		const warnings = lines.filter((line) => /"level":[456]0/.test(line));
		const at = (line: string) => new Date((JSON.parse(line) as { time: number | string }).time).getTime();
		return warnings.sort((a, b) => at(a) - at(b)).slice(-count);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.dormice("down");
	}
}

/** The eight digits that name a platform on its machine. */
export function instanceOf(data: string): string {
	return createHash("sha256").update(data).digest("hex").slice(0, 8);
}

/** Where the machine of a sandbox is on this host, with its mounts. */
export async function machineDirOf(data: string, sandboxId: string): Promise<string> {
	const run = `/run/dormice/${instanceOf(data)}`;
	const { machineId } = JSON.parse(await readFile(`${run}/sandboxes/${sandboxId}.json`, "utf8")) as {
		machineId: string;
	};
	return `${run}/machines/${machineId}`;
}

/**
 * How much of each kind of thing this platform has made on this machine. Equal before and after means no leak.
 * Machines that wait, empty, for a sandbox are not counted.
 */
export async function census(data: string): Promise<Record<string, number>> {
	const instance = instanceOf(data);
	const run = `/run/dormice/${instance}/machines/`;
	const records = `/run/dormice/${instance}/sandboxes`;
	const names = async (path: string) => (existsSync(path) ? await readdir(path) : []);
	const mounts = (await readFile("/proc/mounts", "utf8")).split("\n").filter((line) => line.includes(run));
	const taken = await Promise.all(
		(await names(records)).map((name) => readFile(join(records, name), "utf8").catch(() => "")),
	);
	// One of gVisor's has a placeholder until it has a root, a microVM's has a shape and no sandbox.
	const waiting = (await names(run)).filter((id) =>
		existsSync(join(run, id, "placeholder"))
			? !mounts.some((line) => line.includes(id))
			: existsSync(join(run, id, "shape")) && !taken.some((record) => record.includes(id)),
	);
	const isWaiting = (text: string) => waiting.some((id) => text.includes(id));
	const controllers = await names("/sys/fs/cgroup");
	const cgroups = controllers.map((controller) => names(join("/sys/fs/cgroup", controller, `dormice-${instance}`)));
	const backing = (await names("/sys/block")).map((name) => join("/sys/block", name, "loop/backing_file"));
	const loops = await Promise.all(backing.map((file) => readFile(file, "utf8").catch(() => "")));
	return {
		mounts: mounts.length,
		cgroups: (await Promise.all(cgroups)).flat().filter((name) => /^m[0-9a-f]{12}$/.test(name) && !isWaiting(name))
			.length,
		loopDevices: loops.filter((file) => /\/(sandboxes|trash)\/i/.test(file) && file.startsWith(`${data}/`)).length,
		disks: (await names(join(data, "pool/sandboxes"))).length + (await names(join(data, "pool/trash"))).length,
		generations: (await names(join(data, "pool/generations"))).length,
		sentries: (await processes()).filter((line) => line.includes(run) && !isWaiting(line)).length,
	};
}

async function processes(): Promise<string[]> {
	const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
	return Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
}

/** The data directory that all these tests use, one file after the other. */
export function testData(): string {
	const data = process.env.DORMICE_DATA;
	if (!data) throw new Error("DORMICE_DATA must name the tests' data directory: run them with `dormice test`");
	return data;
}
