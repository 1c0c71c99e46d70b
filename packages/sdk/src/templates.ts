import { DormiceError, type Isolation } from "@dormice/protocol";
import { call, type Endpoint } from "./endpoint.ts";
import type { RestOptions } from "./sandboxes.ts";

/** What sandboxes are made from. */
export interface TemplateInfo {
	templateId: string;
	/** What clients call it. */
	aliases: string[];
	cpuCount: number;
	memoryMiB: number;
	diskMiB: number;
	/** `ready`, or `building` until it was booted once. */
	buildStatus: string;
	/** What it is prepared for, or being prepared for at the moment. */
	isolations: { isolation: Isolation; status: "ready" | "preparing"; since?: string; step?: string }[];
	/** RFC 3339. */
	createdAt: string;
	/** RFC 3339. */
	lastSpawnedAt: string | null;
	spawnCount: number;
}

/** How many stored states a sandbox keeps besides those that something starts from. */
export interface RetentionOptions {
	/** Of those the platform made in passing, the newest. */
	last?: number;
	/** Of those somebody asked for, or a rollback replaced. */
	checkpoints?: number;
	/** The newest of each of so many last days. */
	daily?: number;
}

/** What a template says of its sandboxes, where they do not say it themselves. */
export interface TemplateSettings {
	templateId: string;
	alias: string;
	/** What it says itself. */
	settings: RestOptions & { isolation?: Isolation | "auto"; retention: RetentionOptions };
	/** What its sandboxes get: the rest is the platform's. */
	effective: Required<RestOptions> & { isolation: Isolation | "auto"; retention: Required<RetentionOptions> };
}

type OrNull<T> = { [name in keyof T]?: T[name] | null };

/** What is left out stays; null takes it back, so that the platform says it. */
export type TemplateChange = OrNull<RestOptions> & {
	isolation?: Isolation | "auto" | null;
	retention?: OrNull<RetentionOptions>;
};

export interface PrepareOptions {
	/** What sandboxes are to be kept apart by; else what they get unasked. */
	isolation?: Isolation | "auto";
	/** Hears what is being done when it takes long. */
	onProgress?: (message: string) => void;
	signal?: AbortSignal;
}

const ASK_AGAIN_MS = 1_000;

/** The templates of a platform. Each goes by its alias or id. */
export class Templates {
	readonly #endpoint: Endpoint;

	constructor(endpoint: Endpoint) {
		this.#endpoint = endpoint;
	}

	async list(options: { signal?: AbortSignal } = {}): Promise<TemplateInfo[]> {
		const { body } = await call(this.#endpoint, "GET", "/templates", options);
		return body as TemplateInfo[];
	}

	async settings(name: string, options: { signal?: AbortSignal } = {}): Promise<TemplateSettings> {
		const { body } = await call(this.#endpoint, "GET", `${path(name)}/settings`, options);
		return body as TemplateSettings;
	}

	/** Counts for sandboxes made from now on; the retention for those there are, too. */
	async set(name: string, change: TemplateChange, options: { signal?: AbortSignal } = {}): Promise<TemplateSettings> {
		const { body } = await call(this.#endpoint, "PATCH", `${path(name)}/settings`, { body: change, ...options });
		return body as TemplateSettings;
	}

	/**
	 * Makes what sandboxes of the template start from, if it is not there yet: for an isolation that is not what they get
	 * unasked, the first create does so too, and waits. Answers the isolation.
	 */
	async prepare(name: string, options: PrepareOptions = {}): Promise<Isolation> {
		const { isolation, onProgress, signal } = options;
		for (;;) {
			signal?.throwIfAborted();
			try {
				const request = { body: { isolation }, ...(signal ? { signal } : {}) };
				const { body } = await call(this.#endpoint, "POST", `${path(name)}/prepare`, request);
				return (body as { isolation: Isolation }).isolation;
			} catch (error) {
				// The platform lets nobody wait longer than clients do, and goes on. With a cause, it was no answer of its.
				const goesOn = error instanceof DormiceError && error.reason === "not_set_up" && error.cause === undefined;
				if (!goesOn) throw error;
				onProgress?.(error.message);
				await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
			}
		}
	}
}

function path(name: string): string {
	return `/templates/${encodeURIComponent(name)}`;
}
