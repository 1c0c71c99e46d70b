import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { engine, fromConnectError, type Reason, THAW_LINE } from "@dormice/protocol";
import { Sandbox } from "e2b";
import { Cgroups } from "../src/cgroup/cgroup.ts";
import { loadConfig } from "../src/config.ts";
import type { Manifest } from "../src/generations/generations.ts";
import { type FileSum, sumFiles } from "../src/generations/sums.ts";
import { Records } from "../src/sandboxes/record.ts";

const MAIN = join(import.meta.dirname, "../src/main.ts");
const GONE_WITHIN_MS = 3_000;

/** A real engine on the tests' data directory, which can be told to fail. */
export class TestEngine implements AsyncDisposable {
	readonly config = loadConfig();
	readonly client: Client<typeof engine.Engine>;
	readonly #faults: string;
	#child: ReturnType<typeof spawn> | undefined;

	private constructor() {
		const nodeOptions = { socketPath: this.config.socket };
		const transport = createConnectTransport({ httpVersion: "1.1", baseUrl: "http://engine", nodeOptions });
		this.client = createClient(engine.Engine, transport);
		this.#faults = join(this.config.run, "faults");
	}

	static async open(): Promise<TestEngine> {
		if (!process.env.DORMICE_DATA)
			throw new Error("DORMICE_DATA must name the tests' data directory: run them with dormice test");
		const tested = new TestEngine();
		await mkdir(tested.config.run, { recursive: true });
		await tested.start();
		return tested;
	}

	async start(): Promise<void> {
		const env = { ...process.env, DORMICE_FAULTS: this.#faults };
		this.#child = spawn(process.execPath, [MAIN], { env, stdio: ["ignore", "ignore", "inherit"] });
		const deadline = Date.now() + 30_000;
		while (!(await this.#answers())) {
			if (Date.now() > deadline || this.#child.exitCode !== null) throw new Error("the engine does not start");
			await sleep(50);
		}
	}

	/** A kept connection for thaws: says a line, and resolves to the line it is answered with. */
	async thawLine(): Promise<(line: string) => Promise<string>> {
		const headers = { connection: "upgrade", upgrade: THAW_LINE.upgrade };
		const upgrading = request({ socketPath: this.config.socket, path: THAW_LINE.path, headers }).end();
		const [, socket] = (await once(upgrading, "upgrade")) as [unknown, Duplex];
		return async (line) => {
			const closed = once(socket, "close").then(() => Promise.reject(new Error("the line was closed")));
			socket.write(`${line}\n`);
			const [answer] = (await Promise.race([once(socket, "data"), closed])) as [Buffer];
			return answer.toString().trim();
		};
	}

	/** As a crash ends it. */
	async kill(): Promise<void> {
		await this.#end("SIGKILL");
	}

	signal(signal: NodeJS.Signals): void {
		this.#child?.kill(signal);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		for (const { sandboxId } of (await this.client.list({})).sandboxes)
			await this.client.destroy({ sandboxId, forget: true });
		await this.#end("SIGTERM");
	}

	/** Makes the engine fail at this point of `faults.ts` until called with nothing. */
	async failAt(point: string): Promise<void> {
		await writeFile(this.#faults, point === "" ? "" : `${point} fail`);
	}

	/** The machine that the sandbox is in. */
	async machineOf(id: string): Promise<string | undefined> {
		return (await new Records(this.config.run).read(id))?.machineId;
	}

	/** Every machine there is, of sandboxes and ready ones. */
	async machines(): Promise<string[]> {
		return (await readdir(join(this.config.run, "machines"))).sort();
	}

	/** The CPU time that a machine has used. */
	async cpuUsOf(machineId: string): Promise<number> {
		return (await (await Cgroups.open(this.config.instance)).usage(machineId)).cpuUs;
	}

	/** What the sandbox's PID 1 printed. */
	log(id: string): Promise<string> {
		return readFile(this.logPath(id), "utf8");
	}

	logPath(id: string): string {
		return join(this.config.data, "logs/sandboxes", `${id}.log`);
	}

	/** The names of all logs there are. */
	async logs(): Promise<string[]> {
		return (await readdir(join(this.config.data, "logs/sandboxes"))).sort();
	}

	/** What the generation's memory is now and what its manifest says: checksums of each file. */
	async sumsOf(generationId: string): Promise<{ found: FileSum[]; written: FileSum[] }> {
		const dir = join(this.config.data, "pool/generations", generationId);
		const [manifest = ""] = (await readFile(join(dir, "manifest.json"), "utf8")).split("\n");
		return { found: sumFiles(join(dir, "memory")), written: (JSON.parse(manifest) as Manifest).files ?? [] };
	}

	/** Every trace on this host of the sandbox or machine: there must be none once it is destroyed. */
	async traces(id: string): Promise<string[]> {
		// The kernel lets go of a loop device a moment after its last mount, in whichever namespace that was.
		for (const deadline = Date.now() + GONE_WITHIN_MS; ; await sleep(50)) {
			const found = await this.#tracesNow(id);
			if (found.length === 0 || Date.now() > deadline) return found;
		}
	}

	async #tracesNow(id: string): Promise<string[]> {
		const found: string[] = [];
		for (const line of (await readFile("/proc/mounts", "utf8")).split("\n"))
			if (line.includes(id)) found.push(`mount ${line}`);
		for (const controller of await readdir("/sys/fs/cgroup")) {
			const dir = join("/sys/fs/cgroup", controller, `dormice-${this.config.instance}`, id);
			if (existsSync(dir)) found.push(`cgroup ${dir}`);
		}
		for (const dir of [
			join(this.config.data, "pool/sandboxes", id),
			join(this.config.run, "sandboxes", `${id}.json`),
			join(this.config.run, "machines", id),
		]) {
			if (existsSync(dir)) found.push(dir);
		}
		for (const pid of await readdir("/proc")) {
			const line = /^\d+$/.test(pid) ? await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "") : "";
			if (line.includes(id)) found.push(`process ${pid} ${line.slice(0, 80)}`);
		}
		for (const loop of await readdir("/sys/block")) {
			const file = join("/sys/block", loop, "loop/backing_file");
			const backing = existsSync(file) ? await readFile(file, "utf8").catch(() => "") : "";
			if (backing.includes(id)) found.push(`${loop} on ${backing}`);
		}
		return found;
	}

	async #answers(): Promise<boolean> {
		try {
			await this.client.list({}, { timeoutMs: 1_000 });
			return true;
		} catch {
			return false;
		}
	}

	async #end(signal: NodeJS.Signals): Promise<void> {
		const child = this.#child;
		if (!child || child.exitCode !== null || child.signalCode !== null) return;
		child.kill(signal);
		await once(child, "exit");
	}
}

/** A client of a sandbox's supervisor, straight to its address: no server is part of these tests. */
export async function inside(address: string): Promise<{ run: (command: string) => Promise<string> }> {
	const base = `http://${address}:49983`;
	// An emulated machine boots slowly, on a busy host more so.
	const deadline = Date.now() + 180_000;
	for (;;) {
		const response = await fetch(`${base}/health`, {
			headers: { connection: "close" },
			signal: AbortSignal.timeout(5_000),
		}).catch(() => undefined);
		if (response?.status === 204) break;
		if (Date.now() > deadline) throw new Error(`the supervisor at ${address} does not answer`);
		await sleep(20);
	}
	const sandbox = await Sandbox.connect("debug", { debug: true, sandboxUrl: base });
	return {
		run: async (command) =>
			(await sandbox.commands.run(`{ ${command}\n} 2>&1 || true`, { user: "root", timeoutMs: 60_000 })).stdout.trim(),
	};
}

/** The verb fails for this reason. */
export async function refusedAs(reason: Reason, work: Promise<unknown>) {
	await assert.rejects(work, (error) => fromConnectError(error, "internal").reason === reason);
}
