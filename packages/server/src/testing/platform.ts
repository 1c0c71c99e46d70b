import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readConfig } from "../config.ts";
import { openLog } from "../log.ts";
import { Server } from "../server.ts";
import { FakeEngine } from "./fake-engine.ts";
import { TestPostgres } from "./postgres.ts";

/** For the database's secrets. */
export const SECRETS_KEY = "5ec2e7".padEnd(64, "0");
export const API_KEY = "e2b_0000000000000000000000000000000000000000";

/** A platform in this process: the real server and PostgreSQL, over a fake engine. */
export class TestPlatform implements AsyncDisposable {
	readonly engine: FakeEngine;
	readonly dataDir: string;
	readonly databaseUrl: string;
	#owned = new AsyncDisposableStack();
	#server: Server | undefined;

	private constructor(engine: FakeEngine, dataDir: string, databaseUrl: string, owned: AsyncDisposableStack) {
		this.engine = engine;
		this.dataDir = dataDir;
		this.databaseUrl = databaseUrl;
		owned.defer(() => this.stop());
	}

	static async open(): Promise<TestPlatform> {
		await using owned = new AsyncDisposableStack();
		const dataDir = await mkdtemp(join(tmpdir(), "dormice-server-"));
		owned.defer(() => rm(dataDir, { recursive: true, force: true }));
		await mkdir(join(dataDir, "logs", "sandboxes"), { recursive: true });
		const engine = owned.use(new FakeEngine(join(dataDir, "engine.sock")));
		await engine.listen();
		const { url } = owned.use(await TestPostgres.open());
		const platform = new TestPlatform(engine, dataDir, url, owned);
		await platform.start();
		platform.#owned = owned.move();
		return platform;
	}

	/** Starts a server on what the last one left. */
	async start({
		untilReady = true,
		spares = 0,
		memoryBudgetMib = 1 << 20,
		allowEmulation = false,
		startWaitMs = 20_000,
		answerWithinMs = 30_000,
		memoryMib = 1024,
		secretsKey = SECRETS_KEY,
	} = {}): Promise<void> {
		const { config, secrets } = readConfig({
			DORMICE_DATA: this.dataDir,
			DORMICE_PORT: "0",
			DORMICE_ENGINE_SOCKET: join(this.dataDir, "engine.sock"),
			DATABASE_URL: this.databaseUrl,
			DORMICE_API_KEY: API_KEY,
			DORMICE_SECRETS_KEY: secretsKey,
			DORMICE_CONCURRENT_STARTS: "2",
			DORMICE_START_WAIT_MS: String(startWaitMs),
			DORMICE_ANSWER_WITHIN_MS: String(answerWithinMs),
			DORMICE_SPARES: String(spares),
			// Long enough that what a test is about happens before.
			DORMICE_DOZE_AFTER_MS: "15000",
			DORMICE_SANDBOX_MEMORY_MIB: String(memoryMib),
			DORMICE_ALLOW_EMULATION: allowEmulation ? "1" : "0",
			// However little memory the machine has left.
			DORMICE_MEMORY_BUDGET_MIB: String(memoryBudgetMib),
		});
		this.#server = await Server.open({ config, secrets, log: openLog("fatal") });
		if (untilReady) await until(async () => (await fetch(`${this.url}/health`)).status === 204);
	}

	async stop(): Promise<void> {
		await this.#server?.[Symbol.asyncDispose]();
		this.#server = undefined;
	}

	get url(): string {
		return `http://127.0.0.1:${this.#server?.port}`;
	}

	/** What the `e2b` package takes to talk to this platform. */
	get e2b() {
		return { apiKey: API_KEY, apiUrl: this.url, sandboxUrl: this.url };
	}

	/** A request to the API, of the operator unless with another key; the body, if there is one, as JSON. */
	async api(
		method: string,
		path: string,
		body?: unknown,
		key = API_KEY,
	): Promise<{ status: number; headers: Headers; body: unknown }> {
		const response = await fetch(`${this.url}${path}`, {
			method,
			headers: { "x-api-key": key, ...(body === undefined ? {} : { "content-type": "application/json" }) },
			...(body === undefined ? {} : { body: JSON.stringify(body) }),
		});
		const text = await response.text();
		return { status: response.status, headers: response.headers, body: text === "" ? undefined : JSON.parse(text) };
	}

	/** A request to a port of a sandbox. */
	sandbox(id: string, port: number, path: string, init: RequestInit = {}): Promise<Response> {
		const headers = { "e2b-sandbox-id": id, "e2b-sandbox-port": String(port), ...init.headers };
		return fetch(`${this.url}${path}`, { ...init, headers });
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#owned.disposeAsync();
	}
}

/** Waits until something is so, or fails after a while. */
export async function until(isSo: () => Promise<boolean> | boolean, withinMs = 10_000): Promise<void> {
	const endsAtMs = performance.now() + withinMs;
	while (!(await isSo())) {
		if (performance.now() > endsAtMs) throw new Error(`still not so after ${withinMs} ms: ${isSo.toString()}`);
		await sleep(20);
	}
}
