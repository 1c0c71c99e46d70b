import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { filterStep } from "../setup/filter.ts";
import { confined } from "./confine.ts";
import { FILTERED, type Filtered, filterPath, seccompMode } from "./filter.ts";
import { NODE, platformPaths, REPOSITORY } from "./paths.ts";

const NOBODY = 65534;
const skip = process.getuid?.() === 0 ? false : "needs root, to make a mount namespace";
/** What each of them may do; all else that `forbidden.c` tries is refused. */
const ALLOWED: Record<Filtered, readonly string[]> = {
	server: ["thread", "getpid", "unix_socket", "kill"],
	postgres: ["thread", "getpid", "unix_socket", "kill", "kill_group", "fork", "clone"],
};
/** What the kernel itself lets an unprivileged process do: it is the filter that refuses it. */
const BY_FILTER_ALONE = ["personality", "memfd_create", "fork", "clone", "kill_group", "execve"];
const REFUSED = ["EPERM", "ENOSYS", "EAFNOSUPPORT"];

const data = mkdtempSync("/var/tmp/dormice-filter-");
after(() => rmSync(data, { recursive: true }));
const paths = platformPaths(data);
const forbidden = join(data, "forbidden");

/** Runs a command as the platform runs its processes. */
function started(command: readonly string[], filter?: string): ReturnType<typeof spawn> {
	const emptyRoot = mkdtempSync(join(data, "root-"));
	const place = { uid: NOBODY, gid: NOBODY, readOnly: [forbidden, REPOSITORY], writable: [], emptyRoot };
	const [program = "", ...args] = confined(command, { ...place, ...(filter ? { filter } : {}) });
	return spawn(program, args, { stdio: ["pipe", "pipe", "pipe"], env: { PATH: "/usr/bin:/bin" } });
}

async function output(command: readonly string[], filter?: string): Promise<{ said: string; code: number }> {
	const child = started(command, filter);
	let said = "";
	for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk: Buffer) => (said += chunk.toString()));
	child.stdin?.end();
	const [code] = (await once(child, "close")) as [number];
	return { said, code };
}

/** What `forbidden.c` was told, by what it tried. */
async function tried(filter?: string): Promise<Record<string, string>> {
	const { said } = await output([forbidden], filter);
	return Object.fromEntries(
		said
			.trim()
			.split("\n")
			.map((line) => line.split(" ") as [string, string]),
	);
}

describe("filters of system calls", { skip }, async () => {
	if (skip) return;
	chmodSync(data, 0o755);
	mkdirSync(paths.bin, { mode: 0o700 });
	await filterStep(paths, "/usr/bin:/bin").run(() => undefined);
	execFileSync("cc", ["-O2", "-Wall", "-o", forbidden, join(REPOSITORY, "packages/cli/test/forbidden.c"), "-lpthread"]);

	test("without one, the kernel lets a process without privileges do much", async () => {
		const results = await tried();
		for (const name of BY_FILTER_ALONE) assert.equal(results[name], "done", name);
	});

	for (const name of FILTERED) {
		test(`${name}: what it needs works, and the rest is refused`, async () => {
			const results = await tried(filterPath(paths, name));
			assert.ok(Object.keys(results).length > 40);
			for (const [call, said] of Object.entries(results)) {
				if (ALLOWED[name].includes(call)) assert.equal(said, "done", call);
				else assert.ok(REFUSED.includes(said), `${call}: ${said}`);
			}
		});

		test(`${name}: another process of the same user cannot look into it`, async () => {
			const child = started([forbidden, "wait"], filterPath(paths, name));
			const [pid] = (await once(child.stdout as NodeJS.EventEmitter, "data")) as [Buffer];
			assert.equal(seccompMode(readFileSync(`/proc/${pid.toString().trim()}/status`, "utf8")), 2);
			const { said } = await output([forbidden, pid.toString().trim()]);
			child.stdin?.end();
			assert.equal(said, "mem EACCES\nattach EPERM\n");
		});
	}

	test("Node runs under the server's, with threads, files, sockets and names", async () => {
		const script = `
			const { execFileSync } = require("node:child_process");
			const { Worker } = require("node:worker_threads");
			const { writeFileSync, readFileSync } = require("node:fs");
			const { createServer } = require("node:http");
			writeFileSync("/tmp/a", "file"); console.log(readFileSync("/tmp/a", "utf8"));
			try { execFileSync("/bin/true") } catch (error) { console.log(error.code) }
			require("node:os").networkInterfaces(); process.memoryUsage(); process.kill(process.pid, 0);
			new Worker("1", { eval: true }).on("exit", () => console.log("thread"));
			const server = createServer((_, answer) => answer.end("answer")).listen(0, "localhost", async () => {
				console.log(await (await fetch("http://localhost:" + server.address().port)).text());
				server.close();
			});`;
		const { said, code } = await output([NODE, "-e", script], filterPath(paths, "server"));
		assert.equal(code, 0, said);
		assert.deepEqual(said.trim().split("\n").sort(), ["EPERM", "answer", "file", "thread"]);
	});

	test("a server that was to have one, and has none, does not start", async () => {
		const check = ["--import", `${REPOSITORY}/packages/server/src/require-filter.ts`, "-e", "console.log('started')"];
		const without = await output([NODE, ...check]);
		assert.notEqual(without.code, 0);
		assert.match(without.said, /not filtered, although they were to be/);
		assert.equal((await output([NODE, ...check], filterPath(paths, "server"))).said, "started\n");
	});
});
