import { Agent } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { Sandbox } from "e2b";
import { engineClient } from "../platform/engine.ts";
import type { PlatformPaths } from "../platform/paths.ts";
import type { Target } from "../target.ts";
import { gateway, PORT, server } from "./guest.ts";
import { firstAnswer, request } from "./http.ts";
import type { PlainRunsc } from "./plain-runsc.ts";
import { Series } from "./series.ts";

/** Which row each is to be compared with. */
export const BASELINES = {
	create_first_exec: "runsc_run",
	create_first_exec_burst: "runsc_run",
	create_first_exec_among_many: "create_first_exec",
	exec_true_among_many: "exec_true",
	http_running: "http_direct",
	resume_api: "runsc_restore",
	resume_http: "runsc_restore",
	wake_dozing: "http_running",
	wake_asleep_16mib: "runsc_restore_16mib",
	wake_asleep_64mib: "runsc_restore_64mib",
	wake_asleep_256mib: "runsc_restore_256mib",
	wake_asleep_1gib: "runsc_restore_1gib",
} as const;

/** Memory that the server holds which is paused and resumed, in MiB. */
const SERVER_MIB = 57;

/** Long enough for what is done in the background to be over: one thing is measured at a time. */
const QUIET_MS = 1_000;

export interface BenchOptions {
	/** How often the slow things are done; the fast ones are done more often. */
	rounds: number;
	onLine: (line: string) => void;
}

/** Measures everything, each row and its baseline in the same run, with the unmodified `e2b` client. */
export async function bench(
	target: Target,
	paths: PlatformPaths,
	plain: PlainRunsc,
	{ rounds, onLine }: BenchOptions,
): Promise<Series> {
	const series = new Series();
	const client = { apiKey: target.apiKey, apiUrl: target.apiUrl, sandboxUrl: target.sandboxUrl };
	await series.part("create, first command; and plain runsc", onLine, async () => {
		for (let i = 0; i < rounds; i++) {
			await series.time("runsc_run", () => plain.runOnce());
			await sleep(QUIET_MS);
			await measureCreate(series, client, "");
			// At once again: nothing is ready ahead now.
			await measureCreate(series, client, "_burst");
			await sleep(QUIET_MS);
		}
	});
	const lifecycle = { onTimeout: "pause", autoResume: true } as const;
	const sandbox = await Sandbox.create("base", { ...client, lifecycle, timeoutMs: 3_600_000 });
	try {
		await series.part("commands", onLine, async () => {
			for (let i = 0; i < rounds * 3; i++) await series.time("exec_true", () => sandbox.commands.run("true"));
		});
		await series.part("files", onLine, async () => {
			await measureFiles(series, sandbox, "1mib", 1 << 20, rounds);
			await measureFiles(series, sandbox, "100mib", 100 << 20, Math.max(2, Math.floor(rounds / 5)));
		});
		await series.part("requests to a running sandbox", onLine, async () => {
			await sandbox.commands.run(`exec node -e '${server(SERVER_MIB)}'`, { background: true, timeoutMs: 0 });
			await measureRequests(series, sandbox, target, paths, rounds * 25);
		});
		await series.part("pause and resume; and plain runsc", onLine, async () => {
			await plain.checkpoint(SERVER_MIB);
			for (let i = 0; i < rounds; i++) {
				await measureSleep(series, sandbox.sandboxId, target, client);
				await sleep(QUIET_MS);
				series.add("runsc_restore", await plain.restoreOnce(SERVER_MIB));
			}
		});
	} finally {
		await sandbox.kill();
	}
	return series;
}

type Client = { apiKey: string; apiUrl: string; sandboxUrl: string };

/** A sandbox made, its first command, and its end. */
export async function measureCreate(
	series: Series,
	client: Client,
	suffix: "" | "_burst" | "_among_many",
): Promise<void> {
	const startedMs = performance.now();
	const sandbox = await series.time(`create${suffix}`, () => Sandbox.create("base", client));
	await series.time(`first_exec${suffix}`, () => sandbox.commands.run("true"));
	series.add(`create_first_exec${suffix}`, performance.now() - startedMs);
	await sandbox.kill();
}

async function measureFiles(series: Series, sandbox: Sandbox, label: string, bytes: number, n: number): Promise<void> {
	const content = new Blob([crypto.getRandomValues(new Uint8Array(1 << 16))]);
	const blob = new Blob(Array.from({ length: bytes / content.size }, () => content));
	const path = `/home/user/bench-${label}`;
	for (let i = 0; i < n; i++) {
		await series.time(`file_up_${label}`, () => sandbox.files.write(path, blob));
		await series.time(`file_down_${label}`, () => sandbox.files.read(path, { format: "bytes" }));
	}
	await sandbox.files.remove(path);
}

async function measureRequests(series: Series, sandbox: Sandbox, target: Target, paths: PlatformPaths, n: number) {
	const { sandboxes } = await engineClient(paths).list({});
	const address = sandboxes.find((one) => one.sandboxId === sandbox.sandboxId)?.address ?? "";
	const agent = new Agent({ keepAlive: true, maxSockets: 1 });
	const direct = { host: address, port: PORT, agent };
	const through = { ...gateway(target, sandbox.sandboxId), agent };
	await firstAnswer(direct);
	for (let i = 0; i < n; i++) {
		await series.time("http_direct", () => request(direct));
		await series.time("http_running", () => request(through));
	}
	agent.destroy();
}

async function measureSleep(series: Series, id: string, target: Target, client: Client): Promise<void> {
	await series.time("pause", () => Sandbox.pause(id, client));
	await sleep(QUIET_MS);
	await series.time("resume_http", () => request(gateway(target, id)));
	await sleep(QUIET_MS);
	await series.time("pause", () => Sandbox.pause(id, client));
	await sleep(QUIET_MS);
	await series.time("resume_api", () => Sandbox.connect(id, client));
	await request(gateway(target, id));
}
