import { call, type Endpoint } from "./endpoint.ts";
import type { RestOptions } from "./sandboxes.ts";

/** What sandboxes are made from; the names are the wire's. */
export interface TemplateInfo {
	templateID: string;
	/** What clients call it. */
	aliases: string[];
	cpuCount: number;
	memoryMB: number;
	diskSizeMB: number;
	/** `ready`, or `building` until it was booted once. */
	buildStatus: string;
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
	templateID: string;
	alias: string;
	/** What it says itself. */
	settings: RestOptions & { retention: RetentionOptions };
	/** What its sandboxes get: the rest is the platform's. */
	effective: Required<RestOptions> & { retention: Required<RetentionOptions> };
}

type OrNull<T> = { [name in keyof T]?: T[name] | null };

/** What is left out stays; null takes it back, so that the platform says it. */
export type TemplateChange = OrNull<RestOptions> & { retention?: OrNull<RetentionOptions> };

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
}

function path(name: string): string {
	return `/templates/${encodeURIComponent(name)}`;
}
