import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Sandbox } from "e2b";

const SOURCES = join(import.meta.dirname, "../spawner");

/** A supervisor under its spawner on this machine, with the published client connected to it. */
export class TestGuest implements AsyncDisposable {
	/** Of the spawner. */
	readonly pid: number;
	/** For the test's files; removed with the guest. */
	readonly directory: string;
	/** Where its host speaks to it. */
	hostPort = 0;
	readonly #stop: () => Promise<void>;

	#port = 0;
	#onReady: () => void = () => undefined;

	private constructor(init: { pid: number; directory: string; stop: () => Promise<void> }) {
		this.pid = init.pid;
		this.directory = init.directory;
		this.#stop = init.stop;
	}

	static async start(): Promise<TestGuest> {
		const directory = mkdtempSync(join(tmpdir(), "dormice-supervisor-"));
		const spawner = compileSpawner(directory);
		const child = spawn(spawner, [process.execPath, join(import.meta.dirname, "main.ts")], {
			stdio: ["ignore", "pipe", "inherit"],
			env: {
				PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
				DORMICE_SUPERVISOR_PORT: "0",
				DORMICE_HOST_PORT: "0",
				DORMICE_HOST_ADDRESS: "127.0.0.1",
				DORMICE_SPAWNER: spawner,
				DORMICE_RUN_DIRECTORY: join(directory, "run"),
				DORMICE_METADATA_DIRECTORY: join(directory, "metadata"),
				DORMICE_STAGING_DIRECTORY: join(directory, "staging"),
				DORMICE_TEMPORARY_DIRECTORIES: directory,
				DORMICE_ETC: join(directory, "etc"),
				DORMICE_OUTPUT_DIRECTORY: join(directory, "output"),
			},
		});
		const stop = async () => {
			const gone = new Promise((resolve) => child.once("close", resolve));
			child.kill("SIGKILL");
			await gone;
			rmSync(directory, { recursive: true, force: true });
		};
		const guest = new TestGuest({ pid: child.pid ?? 0, directory, stop });
		createInterface({ input: child.stdout }).on("line", (line) => {
			const { message, fields } = JSON.parse(line);
			if (message !== "supervisor ready") return;
			guest.#port = fields.port;
			guest.hostPort = fields.hostPort;
			guest.#onReady();
		});
		await until("the supervisor", () => guest.#port !== 0, 20_000);
		// What root's shell does at login on this machine is none of the tests' business.
		await guest.tell("/init", { method: "POST", body: JSON.stringify({ envVars: { HOME: directory } }) });
		return guest;
	}

	get url(): string {
		return `http://127.0.0.1:${this.#port}`;
	}

	/** As a crash ends it. Resolves when the next one answers, at another `url`. */
	async killSupervisor(meanwhile: () => void = () => undefined): Promise<void> {
		const ready = new Promise<void>((resolve) => {
			this.#onReady = resolve;
		});
		const children = readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, "utf8").trim().split(" ").map(Number);
		for (const pid of children)
			if (readFileSync(`/proc/${pid}/cmdline`, "utf8").startsWith(process.execPath)) process.kill(pid, "SIGKILL");
		meanwhile();
		await ready;
	}

	connect(): Promise<Sandbox> {
		return Sandbox.connect("debug", { debug: true, apiKey: "none", sandboxUrl: this.url });
	}

	/** A call outside the published client. */
	fetch(path: string, init?: RequestInit): Promise<Response> {
		return fetch(this.url + path, init);
	}

	/** A call of the host's. */
	tell(path: string, init?: RequestInit): Promise<Response> {
		return fetch(`http://127.0.0.1:${this.hostPort}${path}`, init);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#stop();
	}
}

/** Returns the program's path. */
export function compileSpawner(directory: string): string {
	const spawner = join(directory, "spawner");
	const sources = readdirSync(SOURCES).filter((name) => name.endsWith(".c"));
	const flags = ["-std=c11", "-O2", "-static", "-Wall", "-Wextra", "-Werror"];
	execFileSync("cc", [...flags, "-o", spawner, ...sources], { cwd: SOURCES });
	return spawner;
}

/** The answer's JSON, as a test expects it. */
export async function json<T = Record<string, never>>(answer: Response | Promise<Response>): Promise<T> {
	return (await (await answer).json()) as T;
}

/** Waits until `check` holds, and says what was awaited when it never does. */
export async function until(what: string, check: () => boolean | Promise<boolean>, limitMs = 5000): Promise<void> {
	const deadline = Date.now() + limitMs;
	while (!(await check())) {
		if (Date.now() > deadline) throw new Error(`never came: ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 20));
	}
}
