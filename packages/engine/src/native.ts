import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { command, failed } from "./command.ts";
import { log } from "./log.ts";

const SOURCES = join(import.meta.dirname, "../native");
/** What QEMU is started with; `discard.c` and `stand-ins.c` say why. */
const PRELOADED = join(SOURCES, "preload");
const HEAD_BYTES = 12;

type Waiting = { verb: string; resolve: (text: string) => void; reject: (error: Error) => void };

/**
 * The engine's C helper: verbs that Node has no call for. One process serves them all, each in a fork of its own,
 * so that a verb costs a millisecond and not a program start.
 */
export class Native {
	/** The program, for what must be started by it. */
	readonly path: string;
	/** A library for QEMU. */
	readonly preload: string;
	readonly #waiting = new Map<number, Waiting>();
	#child: ChildProcess | undefined;
	#received = Buffer.alloc(0);
	#number = 0;

	constructor(path: string, preload: string) {
		this.path = path;
		this.preload = preload;
	}

	static async build(data: string): Promise<Native> {
		const dir = join(data, "bin");
		return new Native(
			await compiled(join(dir, "host"), SOURCES, ["-static"]),
			await compiled(join(dir, "preload"), PRELOADED, ["-shared", "-fPIC"]),
		);
	}

	/** Runs one verb; resolves to what it printed. Throws `command_failed` or `disk_full` with what it said. */
	call(verb: string, ...args: string[]): Promise<string> {
		const child = this.#serving();
		const number = this.#number++ >>> 0;
		const body = Buffer.from([verb, ...args].map((text) => `${text}\0`).join(""));
		const head = Buffer.alloc(8);
		head.writeUInt32LE(body.length + 4, 0);
		head.writeUInt32LE(number, 4);
		return new Promise((resolve, reject) => {
			this.#waiting.set(number, { verb, resolve, reject });
			child.stdin?.write(Buffer.concat([head, body]));
		});
	}

	/** Ends the helper; what it is doing still finishes. */
	close(): void {
		this.#child?.stdin?.end();
		this.#child = undefined;
	}

	#serving(): ChildProcess {
		if (this.#child) return this.#child;
		const child = spawn(this.path, ["serve"], { stdio: ["pipe", "pipe", "inherit"] });
		this.#child = child;
		this.#received = Buffer.alloc(0);
		child.stdout?.on("data", (chunk: Buffer) => this.#take(chunk));
		child.stdin?.on("error", (error) => log.warn({ err: error }, "the helper does not listen"));
		child.on("error", (error) => this.#lost(child, error.message));
		child.on("close", () => this.#lost(child, "the engine's helper ended"));
		return child;
	}

	#take(chunk: Buffer): void {
		this.#received = Buffer.concat([this.#received, chunk]);
		while (this.#received.length >= HEAD_BYTES) {
			const end = 4 + this.#received.readUInt32LE(0);
			if (this.#received.length < end) return;
			const number = this.#received.readUInt32LE(4);
			const code = this.#received.readUInt32LE(8);
			const text = this.#received.toString("utf8", HEAD_BYTES, end);
			this.#received = this.#received.subarray(end);
			const waiting = this.#waiting.get(number);
			this.#waiting.delete(number);
			if (code === 0) waiting?.resolve(text);
			else waiting?.reject(failed(`host ${waiting.verb}`, String(code), text));
		}
	}

	/** What it was asked may have been done or not: whoever asked undoes it. */
	#lost(child: ChildProcess, why: string): void {
		if (this.#child === child) this.#child = undefined;
		else if (this.#child !== undefined) return;
		for (const { verb, reject } of this.#waiting.values()) reject(failed(`host ${verb}`, "lost", why));
		this.#waiting.clear();
	}
}

/** Compiles what is in a directory on this machine, once for each version of it. */
async function compiled(path: string, from: string, how: readonly string[]): Promise<string> {
	const names = (await readdir(from)).filter((name) => /\.[ch]$/.test(name)).sort();
	const hash = createHash("sha256");
	for (const name of names) hash.update(await readFile(join(from, name)));
	const made = `${path}-${hash.digest("hex").slice(0, 16)}`;
	if (existsSync(made)) return made;
	await mkdir(dirname(path), { recursive: true, mode: 0o700 });
	const sources = names.filter((name) => name.endsWith(".c")).map((name) => join(from, name));
	await command("cc", ["-O2", "-Wall", ...how, "-o", `${made}.partial`, ...sources]);
	await rename(`${made}.partial`, made);
	return made;
}
