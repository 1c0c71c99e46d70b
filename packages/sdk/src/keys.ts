import { call, type Endpoint } from "./endpoint.ts";

/** What a key may do: what is its own team's, or what is the platform's too. */
export type KeyRole = "member" | "operator";

/** What is known of an API key: not the key. */
export interface KeyInfo {
	id: string;
	name: string;
	role: KeyRole;
	/** RFC 3339. */
	createdAt: string;
}

/** For operators: the API keys of the team whose key asks. */
export class Keys {
	readonly #endpoint: Endpoint;

	constructor(endpoint: Endpoint) {
		this.#endpoint = endpoint;
	}

	async list(options: { signal?: AbortSignal } = {}): Promise<KeyInfo[]> {
		const { body } = await call(this.#endpoint, "GET", "/api-keys", options);
		return body as KeyInfo[];
	}

	/** `key` is told this once: the platform keeps its hash. */
	async create(
		key: { name: string; role?: KeyRole },
		options: { signal?: AbortSignal } = {},
	): Promise<KeyInfo & { key: string }> {
		const { body } = await call(this.#endpoint, "POST", "/api-keys", { body: key, ...options });
		return body as KeyInfo & { key: string };
	}

	/** It opens nothing from now on. The key that asks cannot delete itself. */
	async delete(id: string, options: { signal?: AbortSignal } = {}): Promise<void> {
		await call(this.#endpoint, "DELETE", `/api-keys/${encodeURIComponent(id)}`, options);
	}
}
