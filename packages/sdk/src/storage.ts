import { call, type Endpoint } from "./endpoint.ts";

/** What one thing takes of the platform's storage, in bytes. */
export interface Share {
	/** Stored states in it. */
	generations: number;
	bytes: number;
	/** Of these, what others share. */
	sharedBytes: number;
	/** What would be free without it. */
	freedBytes: number;
}

/** Stored states that nothing starts from and no retention keeps. */
export interface Superfluous {
	generationIds: string[];
	freedBytes: number;
}

export interface StorageUsage {
	sandboxes: (Share & { sandboxId: string })[];
	snapshots: (Share & { snapshotId: string })[];
	superfluous: Superfluous;
	/** Told to operators. */
	templates?: (Share & { templateId: string; alias: string | null })[];
	totalBytes?: number;
	freeBytes?: number;
}

/** What is stored on a platform; with a member's key, what its team has there. */
export class Storage {
	readonly #endpoint: Endpoint;

	constructor(endpoint: Endpoint) {
		this.#endpoint = endpoint;
	}

	async usage(options: { signal?: AbortSignal } = {}): Promise<StorageUsage> {
		const { body } = await call(this.#endpoint, "GET", "/usage", options);
		return body as StorageUsage;
	}

	/** For operators. Deletes what no retention keeps, which the platform does by itself every few minutes; `dryRun` tells what it would be. */
	async collect(options: { dryRun?: boolean; signal?: AbortSignal } = {}): Promise<Superfluous> {
		const { dryRun, ...rest } = options;
		const { body } = await call(this.#endpoint, "POST", "/gc", { body: { dryRun }, ...rest });
		return body as Superfluous;
	}
}
