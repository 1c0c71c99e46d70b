import { DormiceError, type Isolation, type Reason } from "@dormice/protocol";
import { call, type Endpoint } from "./endpoint.ts";
import { Sandbox } from "./sandbox.ts";
import { typedFields } from "./words.ts";

/** A sandbox as the API describes it. */
export interface SandboxInfo {
	sandboxId: string;
	templateId: string;
	clientId?: string;
	alias?: string;
	state?: "running" | "paused";
	/** Where it is on the ladder, whatever its state: `running`, `dozing`, `asleep` and those between. */
	rung?: string;
	/** What keeps it apart from its host and the others. */
	isolation?: Isolation;
	/** RFC 3339. */
	startedAt?: string;
	/** RFC 3339. */
	endAt?: string;
	cpuCount?: number;
	memoryMiB?: number;
	diskMiB?: number;
	metadata?: Record<string, string>;
	envdVersion?: string;
	/** What commands and files need. */
	envdAccessToken?: string;
	/** What requests to its ports need, if it was made so. */
	trafficAccessToken?: string;
	domain?: string | null;
	/** What its end is: only `get` tells. */
	lifecycle?: { autoResume: boolean; onTimeout: "pause" | "kill" };
}

/** How a sandbox rests when nobody needs it; what is left out, its template or the platform says. */
export interface RestOptions {
	/** `idle`: not while a process lives that a client started. `always`: whatever waits inside. */
	doze?: "idle" | "always";
	/** Quiet for this long, it is frozen in RAM. 0: never. */
	dozeAfterMs?: number;
	/** Frozen for this long, it is put to sleep. 0: never. */
	sleepAfterMs?: number;
}

/** Something that holds a sandbox awake. */
export interface Signal {
	/** `request`, `recent`, `cpu`, `process`, `silent`, `setting` or `change`. */
	signal: string;
	/** RFC 3339. */
	since: string;
	/** A sentence for a person. */
	detail: string;
}

/** Where a sandbox is on the ladder, why, and how it came there. */
export interface Lifecycle {
	sandboxId: string;
	isolation: Isolation;
	state?: "running" | "paused";
	/** `running`, `dozing`, `asleep` and those between. */
	rung: string;
	/** RFC 3339: since when it is on that rung. */
	since: string;
	rest: Required<RestOptions>;
	awake: Signal[];
	/** What uses CPU in it now, in percent of one, most first. */
	busiest: { pid: number; cmd: string; percent: number }[];
	/** RFC 3339; while it dozes. */
	sleepsAt?: string;
	/** Milliseconds on each rung, this one included. */
	timesMs: Record<string, number>;
	/** Changes of rung, the newest first. */
	history: { at: string; from: string; to: string; reason: string; lastedMs: number }[];
}

export interface CreateOptions {
	/** Template id or alias; `base` when it is not given. */
	template?: string;
	/** Seconds until the sandbox is killed, or paused with `autoPause`. */
	timeoutS?: number;
	env?: Record<string, string>;
	metadata?: Record<string, string>;
	/** What keeps it apart; `auto`: the strongest that the platform gives unasked. Else its template says it. */
	isolation?: Isolation | "auto";
	/** How it rests when nobody needs it. */
	rest?: RestOptions;
	/** At the timeout: pause instead of kill. */
	autoPause?: boolean;
	/** A request to the paused sandbox wakes it. */
	autoResume?: boolean;
	signal?: AbortSignal;
}

export interface ListOptions {
	state?: readonly ("running" | "paused")[];
	/** Only those that have all of these. */
	metadata?: Readonly<Record<string, string>>;
	signal?: AbortSignal;
}

export interface LogEntry {
	/** RFC 3339. */
	timestamp: string;
	level: string;
	message: string;
	fields?: Record<string, string | number>;
}

/** One sample of what a sandbox uses; sizes in bytes. */
export interface Metric {
	/** RFC 3339. */
	timestamp: string;
	cpuCount: number;
	cpuUsedPct: number;
	memUsed: number;
	memTotal: number;
	diskUsed: number;
	diskTotal: number;
}

/** A stored state of a sandbox; sizes in bytes. */
export interface Generation {
	generationId: string;
	/** What it grew from, which may be gone. */
	parentId: string | null;
	label: string | null;
	/** Why it was made: `checkpoint`, `pause`, `fork`, `snapshot`, `rollback`. */
	reason: string;
	/** RFC 3339. */
	createdAt: string;
	/** What it was stored by: what is made from it goes on with that. */
	isolation: Isolation;
	/** Whether memory and processes are in it, and not the disk alone. */
	memory: boolean;
	memoryBytes: number;
	/** What its disk takes, shared with others or not. */
	diskBytes: number;
	/** What the sandbox sleeps in, or what it grew from since. */
	current: boolean;
	/** Found to be not what was written. */
	corrupt: boolean;
}

export interface FileChange {
	/** The sandbox's own word: it may hold any characters. */
	path: string;
	change: "added" | "changed" | "removed";
	type: "file" | "directory" | "symlink" | "other";
	bytesBefore: number;
	bytesAfter: number;
}

export interface GuestProcess {
	pid: number;
	uid: number;
	name: string;
}

/** What lies between two states of a sandbox. What is in memory file systems (`/tmp`) is not looked at. */
export interface Difference {
	files: FileChange[];
	/** There is more than this. */
	truncated: boolean;
	processes: { started: GuestProcess[]; ended: GuestProcess[] };
}

export interface ForkOptions {
	/** How many sandboxes to make. */
	count?: number;
	/** Seconds until each is killed, or paused as the one it comes from would be. */
	timeoutS?: number;
	/** A state of its history, by id or label; else what it is now. */
	generation?: string;
	signal?: AbortSignal;
}

/** The sandboxes of a platform. */
export class Sandboxes {
	readonly #endpoint: Endpoint;

	constructor(endpoint: Endpoint) {
		this.#endpoint = endpoint;
	}

	/** Makes a sandbox; answers when it can be worked in. */
	async create(options: CreateOptions = {}): Promise<Sandbox> {
		const { body } = await call(this.#endpoint, "POST", "/v2/sandboxes", {
			body: {
				templateID: options.template ?? "base",
				timeout: options.timeoutS,
				envVars: options.env,
				metadata: options.metadata,
				autoPause: options.autoPause,
				isolation: options.isolation,
				...options.rest,
				autoResume: options.autoResume === undefined ? undefined : { enabled: options.autoResume },
			},
			...pick(options),
		});
		return new Sandbox(this.#endpoint, body as SandboxInfo);
	}

	async get(id: string, options: { signal?: AbortSignal } = {}): Promise<Sandbox> {
		const { body } = await call(this.#endpoint, "GET", path(id), options);
		return new Sandbox(this.#endpoint, body as SandboxInfo);
	}

	/** All sandboxes, page by page. */
	async *list(options: ListOptions = {}): AsyncGenerator<SandboxInfo, void> {
		let nextToken: string | undefined;
		do {
			const { body, response } = await call(this.#endpoint, "GET", "/v2/sandboxes", {
				query: { state: options.state?.join(","), metadata: options.metadata && filter(options.metadata), nextToken },
				...pick(options),
			});
			yield* body as SandboxInfo[];
			nextToken = response.headers.get("X-Next-Token") ?? undefined;
		} while (nextToken !== undefined);
	}

	/** Stores the sandbox, by default with its memory and processes; answers when that is durable. */
	async pause(id: string, options: { memory?: boolean; signal?: AbortSignal } = {}): Promise<void> {
		await call(this.#endpoint, "POST", `${path(id)}/pause`, { body: { memory: options.memory }, ...pick(options) });
	}

	/** Wakes a paused sandbox; of a running one it only puts the end later. `memory: false` boots it from its disk. */
	async resume(
		id: string,
		options: { timeoutS?: number; memory?: boolean; signal?: AbortSignal } = {},
	): Promise<Sandbox> {
		const { body } = await call(this.#endpoint, "POST", `/v2${path(id)}/connect`, {
			body: { timeout: options.timeoutS, memory: options.memory },
			...pick(options),
		});
		return new Sandbox(this.#endpoint, body as SandboxInfo);
	}

	/** Stores the sandbox as it is now, memory and files, and lets it go on. */
	async checkpoint(id: string, options: { label?: string; signal?: AbortSignal } = {}): Promise<Generation> {
		const { body } = await call(this.#endpoint, "POST", `${path(id)}/checkpoints`, {
			body: { label: options.label },
			...pick(options),
		});
		return body as Generation;
	}

	/** Its stored states, the newest first. */
	async history(id: string, options: { signal?: AbortSignal } = {}): Promise<Generation[]> {
		const { body } = await call(this.#endpoint, "GET", `${path(id)}/generations`, options);
		return body as Generation[];
	}

	/** Puts the sandbox back to a state of its history. What it was until then becomes one, and is answered. */
	async rollback(
		id: string,
		generation: string,
		options: { signal?: AbortSignal } = {},
	): Promise<{ generationId: string; replacedId: string }> {
		const { body } = await call(this.#endpoint, "POST", `${path(id)}/rollback`, {
			body: { generationID: generation },
			...options,
		});
		return body as { generationId: string; replacedId: string };
	}

	/** What changed from a state of its history to another, or to what it is now. */
	async diff(id: string, from: string, to?: string, options: { signal?: AbortSignal } = {}): Promise<Difference> {
		const { body } = await call(this.#endpoint, "GET", `${path(id)}/diff`, { query: { from, to }, ...options });
		return body as Difference;
	}

	/** Deletes a state of its history that nothing starts from. */
	async deleteGeneration(id: string, generation: string, options: { signal?: AbortSignal } = {}): Promise<void> {
		await call(this.#endpoint, "DELETE", `${path(id)}/generations/${encodeURIComponent(generation)}`, options);
	}

	/** Sandboxes that go on from what this one is, or was: each by itself, or the error that kept it from starting. */
	async fork(id: string, options: ForkOptions = {}): Promise<(Sandbox | DormiceError)[]> {
		const { body } = await call(this.#endpoint, "POST", `${path(id)}/fork`, {
			body: { count: options.count, timeout: options.timeoutS, generationID: options.generation },
			...pick(options),
		});
		const results = body as { sandbox?: SandboxInfo; error?: { code: number; message: string; reason?: Reason } }[];
		return results.map(({ sandbox, error }) =>
			sandbox === undefined
				? new DormiceError(error?.reason ?? "internal", error?.message ?? "A fork did not start.")
				: new Sandbox(this.#endpoint, sandbox),
		);
	}

	/** Ends the sandbox and deletes what it stored. */
	async kill(id: string, options: { signal?: AbortSignal } = {}): Promise<void> {
		await call(this.#endpoint, "DELETE", path(id), options);
	}

	/** Puts the sandbox's end `timeoutS` seconds from now; this may be sooner than it was. */
	async setTimeout(id: string, timeoutS: number, options: { signal?: AbortSignal } = {}): Promise<void> {
		await call(this.#endpoint, "POST", `${path(id)}/timeout`, { body: { timeout: timeoutS }, ...options });
	}

	/** Puts the sandbox's end at least `durationS` seconds from now, never sooner than it was. */
	async extend(id: string, durationS: number, options: { signal?: AbortSignal } = {}): Promise<void> {
		await call(this.#endpoint, "POST", `${path(id)}/refreshes`, { body: { duration: durationS }, ...options });
	}

	/** Why it is awake, how long it was in each state, and its last `limit` changes (100). Does not wake it. */
	async lifecycle(id: string, options: { limit?: number; signal?: AbortSignal } = {}): Promise<Lifecycle> {
		const { body } = await call(this.#endpoint, "GET", `${path(id)}/lifecycle`, {
			query: { limit: options.limit?.toFixed(0) },
			...pick(options),
		});
		return body as Lifecycle;
	}

	/** Samples of what the sandbox uses, oldest first. */
	async metrics(id: string, options: { signal?: AbortSignal } = {}): Promise<Metric[]> {
		const { body } = await call(this.#endpoint, "GET", `${path(id)}/metrics`, options);
		return body as Metric[];
	}

	/** The newest sample of each of these that there is one of, by id. */
	async newestMetrics(ids: readonly string[], options: { signal?: AbortSignal } = {}): Promise<Record<string, Metric>> {
		const query = { sandbox_ids: ids.join(",") };
		const { body } = await call(this.#endpoint, "GET", "/sandboxes/metrics", { query, ...options });
		return (body as { sandboxes: Record<string, Metric> }).sandboxes;
	}

	/** Log entries at or after `sinceMs` (UNIX milliseconds), oldest first. */
	async logs(
		id: string,
		options: { sinceMs?: number; limit?: number; signal?: AbortSignal } = {},
	): Promise<LogEntry[]> {
		const { body } = await call(this.#endpoint, "GET", `/v2${path(id)}/logs`, {
			query: {
				direction: "forward",
				cursor: options.sinceMs?.toFixed(0),
				limit: options.limit?.toFixed(0),
			},
			...pick(options),
		});
		const { logs } = body as { logs: (LogEntry & { fields?: Record<string, string> })[] };
		return logs.map(({ fields = {}, ...entry }) => ({ ...entry, fields: typedFields(fields) }));
	}
}

function path(id: string): string {
	return `/sandboxes/${encodeURIComponent(id)}`;
}

/** The wire's form of a filter: encoded twice, beside what the query itself takes. */
function filter(metadata: Readonly<Record<string, string>>): string {
	const encode = (text: string) => encodeURIComponent(encodeURIComponent(text));
	return Object.entries(metadata)
		.map(([name, value]) => `${encode(name)}=${encode(value)}`)
		.join("&");
}

function pick({ signal }: { signal?: AbortSignal }): { signal?: AbortSignal } {
	return signal ? { signal } : {};
}
