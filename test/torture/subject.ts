import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { Sandbox } from "e2b";
import type { TestPlatform } from "../platform/platform.ts";
import { patience } from "./patience.ts";
import { type Testimony, WITNESS_PATH, WITNESS_PORT, witnessProgram } from "./witness.ts";

const BY_REQUEST = { onTimeout: "pause", autoResume: true } as const;
/** How far a clock inside may be from the host's. */
const CLOCK_OFF_MS = 1_000;
const ANSWER_WITHIN_MS = 60_000;
/** A machine that stands still for want of room answers nobody. */
const IN_VAIN_MS = 5_000;

/** What must be true of a sandbox: every acknowledged addition is there, and none that was never asked for. */
export interface Model {
	acknowledged: number;
	attempted: number;
	birth: string;
}

export interface SubjectOptions {
	/** Random bytes that its witness holds, in MiB. */
	memoryMiB: number;
	metadata: Record<string, string>;
}

/** One sandbox under test, with a witness inside and a model of what it must know. */
export class Subject {
	readonly platform: TestPlatform;
	readonly id: string;
	readonly model: Model;

	constructor(platform: TestPlatform, id: string, model: Model) {
		this.platform = platform;
		this.id = id;
		this.model = model;
	}

	static async create(platform: TestPlatform, { memoryMiB, metadata: more }: SubjectOptions): Promise<Subject> {
		const metadata = { "dormice.dozeAfterMs": "1000", "dormice.doze": "always", ...more };
		const options = { ...patient(platform), lifecycle: BY_REQUEST, timeoutMs: 3_600_000, metadata };
		const sandbox = await Sandbox.create("base", options);
		await sandbox.files.write(WITNESS_PATH, witnessProgram(memoryMiB));
		// It must be there after anything.
		await sandbox.commands.run("sync");
		const subject = new Subject(platform, sandbox.sandboxId, { acknowledged: 0, attempted: 0, birth: "" });
		await subject.startWitness();
		return subject;
	}

	get client() {
		return patient(this.platform);
	}

	connect(): Promise<Sandbox> {
		return Sandbox.connect(this.id, { ...this.client, timeoutMs: 3_600_000 });
	}

	/** After a cold boot nothing runs; the log on the disk says where to go on. */
	async startWitness(): Promise<void> {
		const sandbox = await until("the supervisor", ANSWER_WITHIN_MS, () => this.connect());
		const started = await until("a command", ANSWER_WITHIN_MS, () =>
			sandbox.commands.run(`exec node ${WITNESS_PATH} > /dev/null 2>&1`, { background: true, timeoutMs: 0 }),
		);
		// The client asks after a command whose stream was cut, which wakes the sandbox that was just paused.
		await started.disconnect();
		await until("the witness", ANSWER_WITHIN_MS, () => this.#ask("/"));
		const { n, birth } = await this.testify();
		this.#mustKnow(n);
		this.model.birth = birth;
		this.model.acknowledged = n;
		this.model.attempted = n;
	}

	/** One addition. One that got no answer may have happened or not. */
	async add(): Promise<boolean> {
		this.model.attempted++;
		try {
			await this.#ask("/add");
			this.model.acknowledged++;
			return true;
		} catch {
			return false;
		}
	}

	/**
	 * One addition while the pool is full. Its acknowledgement is worth nothing: gVisor tells no program that an fsync failed
	 * (`syncRemoteFileLocked` in pkg/sentry/fsimpl/gofer).
	 */
	async addInVain(): Promise<void> {
		this.model.attempted++;
		await this.#ask("/add", IN_VAIN_MS).catch(() => undefined);
	}

	/** An addition that must succeed. */
	async mustAdd(): Promise<void> {
		this.model.attempted++;
		await this.#ask("/add");
		this.model.acknowledged++;
	}

	/** What the witness says, waiting until it says it. Throws when anything is wrong. */
	async testify(): Promise<Testimony> {
		let askedMs = 0;
		const testimony = await until("testimony", ANSWER_WITHIN_MS, async () => {
			askedMs = Date.now();
			return JSON.parse(await this.#ask("/testify")) as Testimony;
		});
		assert.deepEqual(testimony.wrong, [], `${this.id}: ${testimony.wrong.join("; ")}`);
		// It said so at some time between the question and the answer, which on a busy host are seconds apart.
		const offMs = Math.max(askedMs - testimony.wallMs, testimony.wallMs - Date.now());
		assert.ok(offMs < CLOCK_OFF_MS * patience.times, `${this.id}: its clock is ${offMs} ms off`);
		return testimony;
	}

	/** All is as the model says, memory included. */
	async check(): Promise<Testimony> {
		const testimony = await this.testify();
		this.#mustKnow(testimony.n);
		assert.equal(testimony.birth, this.model.birth, `${this.id}: its memory was lost`);
		// What was in doubt is known now.
		this.model.acknowledged = testimony.n;
		this.model.attempted = testimony.n + testimony.doubtful;
		return testimony;
	}

	/** After a crash of the sandbox itself: memory may be gone, what was fsynced is not. */
	async checkDisk(): Promise<void> {
		const sandbox = await until("the supervisor", ANSWER_WITHIN_MS, () => this.connect());
		const { stdout } = await until("a command", ANSWER_WITHIN_MS, () =>
			sandbox.commands.run("touch witness.log; wc -l < witness.log"),
		);
		this.#mustKnow(Number(stdout));
	}

	/** The witness opens a file of the disk and deletes it, or looks into it once more and closes it. */
	async hold(held: boolean): Promise<void> {
		await this.#ask(held ? "/hold" : "/release");
	}

	pause(): Promise<boolean> {
		return Sandbox.pause(this.id, this.client);
	}

	async kill(): Promise<void> {
		await until("a kill", ANSWER_WITHIN_MS, () => Sandbox.kill(this.id, this.client));
	}

	/** A call of the native API, below `/sandboxes/{id}`. */
	async api(method: string, path: string, body?: unknown): Promise<unknown> {
		const response = await fetch(`${this.client.apiUrl}/sandboxes/${this.id}${path}`, {
			method,
			headers: { "X-API-KEY": this.client.apiKey, "content-type": "application/json" },
			...(body === undefined ? {} : { body: JSON.stringify(body) }),
			signal: AbortSignal.timeout(ANSWER_WITHIN_MS * patience.times),
		});
		const text = await response.text();
		assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
		return text === "" ? undefined : JSON.parse(text);
	}

	#mustKnow(n: number): void {
		const { acknowledged, attempted } = this.model;
		assert.ok(n >= acknowledged, `${this.id}: ${acknowledged} additions were acknowledged, ${n} are there`);
		assert.ok(n <= attempted, `${this.id}: ${attempted} additions were asked for, ${n} are there`);
	}

	async #ask(path: string, withinMs = 30_000 * patience.times): Promise<string> {
		const headers = { "E2b-Sandbox-Id": this.id, "E2b-Sandbox-Port": String(WITNESS_PORT) };
		const signal = AbortSignal.timeout(withinMs);
		const response = await fetch(`${this.client.sandboxUrl}${path}`, { method: "POST", headers, signal });
		const text = await response.text();
		if (!response.ok) throw new Error(`${path}: ${response.status} ${text.slice(0, 300)}`);
		return text;
	}
}

/** Its client, which waits as long as torture does. */
export function patient({ client }: TestPlatform) {
	return { ...client, requestTimeoutMs: ANSWER_WITHIN_MS * patience.times };
}

/** Tries until it works; the last failure is the one that is told. */
export async function until<T>(what: string, withinMs: number, work: () => Promise<T>): Promise<T> {
	const deadline = Date.now() + withinMs * patience.times;
	for (let waitMs = 20; ; waitMs = Math.min(waitMs * 2, 500)) {
		try {
			return await work();
		} catch (error) {
			if (Date.now() > deadline)
				throw new Error(`${what} did not come in ${withinMs * patience.times} ms`, { cause: error });
			await sleep(waitMs);
		}
	}
}
