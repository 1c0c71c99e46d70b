import { call, type Endpoint } from "./endpoint.ts";
import { Sandbox } from "./sandbox.ts";

/** A sandbox as the API describes it; the names are the wire's. */
export interface SandboxInfo {
	sandboxID: string;
	templateID: string;
	clientID?: string;
	alias?: string;
	state?: "running" | "paused";
	/** RFC 3339. */
	startedAt?: string;
	/** RFC 3339. */
	endAt?: string;
	cpuCount?: number;
	memoryMB?: number;
	diskSizeMB?: number;
	metadata?: Record<string, string>;
	envdVersion?: string;
	envdAccessToken?: string;
	domain?: string | null;
}

export interface CreateOptions {
	/** Template id or alias; `base` when it is not given. */
	template?: string;
	/** Seconds until the sandbox is killed, or paused with `autoPause`. */
	timeoutS?: number;
	env?: Record<string, string>;
	metadata?: Record<string, string>;
	/** At the timeout: pause instead of kill. */
	autoPause?: boolean;
	/** A request to the paused sandbox wakes it. */
	autoResume?: boolean;
	signal?: AbortSignal;
}

export interface ListOptions {
	state?: readonly ("running" | "paused")[];
	signal?: AbortSignal;
}

export interface LogEntry {
	/** RFC 3339. */
	timestamp: string;
	level: string;
	message: string;
	fields?: Record<string, string>;
}

/** One sample of what a sandbox uses; sizes in bytes. */
export interface Metric {
	timestamp: string;
	cpuCount: number;
	cpuUsedPct: number;
	memUsed: number;
	memTotal: number;
	diskUsed: number;
	diskTotal: number;
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
				query: { state: options.state?.join(","), nextToken },
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

	/** Samples of what the sandbox uses, oldest first. */
	async metrics(id: string, options: { signal?: AbortSignal } = {}): Promise<Metric[]> {
		const { body } = await call(this.#endpoint, "GET", `${path(id)}/metrics`, options);
		return body as Metric[];
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
		return (body as { logs: LogEntry[] }).logs;
	}
}

function path(id: string): string {
	return `/sandboxes/${encodeURIComponent(id)}`;
}

function pick({ signal }: { signal?: AbortSignal }): { signal?: AbortSignal } {
	return signal ? { signal } : {};
}
