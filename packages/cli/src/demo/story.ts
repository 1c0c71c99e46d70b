import { setTimeout as sleep } from "node:timers/promises";
import { Sandbox } from "e2b";
import type { IsolationWish } from "../isolation.ts";
import { type PlatformPaths, platformPaths } from "../platform/paths.ts";
import { platformStatus } from "../platform/status.ts";
import { connectTo, type Target } from "../target.ts";
import { processesOf } from "./host.ts";
import { PORT, PROJECT, UNTIL_THEY_RUN } from "./programs.ts";
import { type Timeline, verify } from "./timeline.ts";

interface Setting {
	dataDir: string;
	/** What keeps the sandbox apart; undefined: what the platform gives unasked. */
	isolation?: IsolationWish | undefined;
}

/** The life of one sandbox, told by the unmodified `e2b` client: work, sleep, wake, and a server that dies meanwhile. */
export async function tellStory(timeline: Timeline, target: Target, { dataDir, isolation }: Setting): Promise<void> {
	const paths = platformPaths(dataDir);
	const options = { apiKey: target.apiKey, apiUrl: target.apiUrl, sandboxUrl: target.sandboxUrl };
	const lifecycle = { onTimeout: "pause", autoResume: true } as const;
	let sandbox: Sandbox | undefined;
	const call = async () => {
		const headers = { "E2b-Sandbox-Id": sandbox?.sandboxId ?? "", "E2b-Sandbox-Port": String(PORT) };
		const response = await fetch(target.sandboxUrl, { headers });
		verify(response.ok, `HTTP ${response.status}: ${await response.clone().text()}`);
		return Number(await response.text());
	};

	if (isolation !== undefined && isolation !== "auto") {
		await timeline.step(`prepare \`base\` for ${isolation}`, async () => {
			await connectTo(target).templates.prepare("base", { isolation });
			return "booted and stored once; kept for the next";
		});
	}
	await timeline.step("create a sandbox from `base`", async () => {
		const metadata: Record<string, string> = isolation === undefined ? {} : { "dormice.isolation": isolation };
		sandbox = await Sandbox.create("base", { ...options, lifecycle, metadata });
		const { info } = await connectTo(target).sandboxes.get(sandbox.sandboxId);
		const isAsAsked = isolation === undefined || isolation === "auto" || info.isolation === isolation;
		verify(isAsAsked, `it is kept apart by ${info.isolation}`);
		return `${sandbox.sandboxId}, kept apart by ${info.isolation}`;
	});
	verify(sandbox !== undefined, "no sandbox");
	const { commands, files, sandboxId } = sandbox;

	await timeline.step("run a first command", async () => {
		const { stdout } = await commands.run("id -un && uname -sr");
		verify(stdout.startsWith("user\n"), `it runs as ${stdout}`);
		return stdout.trim().replace("\n", ", ");
	});
	await timeline.step("write a project", async () => {
		await files.write(PROJECT);
		const entries = await files.list("/home/user/project");
		verify(entries.length === PROJECT.length, `${entries.length} files are there`);
		return entries.map((entry) => entry.name).join(", ");
	});
	let pids: number[] = [];
	await timeline.step("start its server and its ticker", async () => {
		const server = await commands.run("node /home/user/project/server.mjs", { background: true, timeoutMs: 0 });
		const ticker = await commands.run("python3 /home/user/project/ticker.py", { background: true, timeoutMs: 0 });
		await commands.run(UNTIL_THEY_RUN);
		// A client that follows a command looks after the sandbox when it is cut off, which would wake it.
		await Promise.all([server.disconnect(), ticker.disconnect()]);
		pids = [server.pid, ticker.pid];
		return `processes ${pids.join(" and ")}`;
	});
	let count = 0;
	await timeline.step("reach the server through the gateway", async () => {
		for (let i = 0; i < 5; i++) count = await call();
		verify(count === 5, `it counted ${count}`);
		return `it counted ${count} requests`;
	});

	let ticks = 0;
	await timeline.step("pause", async () => {
		ticks = Number(await files.read("/tmp/ticks"));
		await Sandbox.pause(sandboxId, options);
		return "memory, processes and disk are stored";
	});
	await timeline.step("see that nothing of it runs", async () => {
		const left = processesOf(sandboxId);
		verify(left.length === 0, `processes ${left.join(", ")} are left`);
		return "no process of it is on this host";
	});
	await timeline.step("wake it by a request", async () => {
		const next = await call();
		verify(next === count + 1, `it counted ${next} after ${count}`);
		count = next;
		return `the counter went on: ${count}`;
	});
	await timeline.step("find the same processes and files", async () => {
		const living = (await commands.list()).map((process) => process.pid);
		verify(
			pids.every((pid) => living.includes(pid)),
			`of ${pids.join(", ")} there are ${living.join(", ")}`,
		);
		verify((await files.read("/home/user/project/README.md")) === PROJECT[2]?.data, "a file changed");
		await sleep(300);
		const now = Number(await files.read("/tmp/ticks"));
		verify(now > ticks, `the ticker stands at ${now}, it was at ${ticks}`);
		return `same process ids; the ticker went from ${ticks} to ${now}`;
	});

	await timeline.step("kill -9 the server, and go on", async () => {
		const killed = await killServer(paths);
		const next = await untilAnswered(call);
		verify(next > count, `it counted ${next} after ${count}`);
		const started = (await platformStatus(paths)).processes.server?.pid;
		verify(started !== undefined && started !== killed, "no new server was started");
		count = next;
		return `server ${killed} → ${started}; the counter went on: ${count}`;
	});

	await timeline.step("list, metrics, logs", async () => {
		const listed = await Sandbox.list(options).nextItems();
		verify(
			listed.some((one) => one.sandboxId === sandboxId && one.state === "running"),
			"it is not listed as running",
		);
		const metrics = await Sandbox.getMetrics(sandboxId, options);
		const latest = metrics.at(-1);
		verify(latest !== undefined && latest.memUsed > 0, "there are no metrics");
		const logs = await fetch(`${target.apiUrl}/sandboxes/${sandboxId}/logs`, {
			headers: { "X-API-KEY": target.apiKey },
		});
		const { logEntries } = (await logs.json()) as { logEntries: unknown[] };
		verify(logEntries.length > 0, "there are no log entries");
		return `${listed.length} sandbox, ${Math.round(latest.memUsed / 2 ** 20)} MiB in use, ${logEntries.length} log entries`;
	});
	await timeline.step("kill", async () => {
		verify(await Sandbox.kill(sandboxId, options), "it was not there");
		const left = processesOf(sandboxId);
		verify(left.length === 0, `processes ${left.join(", ")} are left`);
		return "nothing of it is left";
	});
}

async function killServer(paths: PlatformPaths): Promise<number> {
	const pid = (await platformStatus(paths)).processes.server?.pid;
	verify(pid !== undefined, "no server runs");
	process.kill(pid, "SIGKILL");
	return pid;
}

/** The first answer once there is a server again. */
async function untilAnswered(call: () => Promise<number>, deadlineMs = 15_000): Promise<number> {
	const deadline = performance.now() + deadlineMs;
	for (;;) {
		try {
			return await call();
		} catch (error) {
			if (performance.now() > deadline) throw error;
			await sleep(50);
		}
	}
}
