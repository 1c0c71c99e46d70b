import type { Isolation } from "@dormice/protocol";
import { call, type Endpoint } from "./endpoint.ts";

/** Whose sandboxes a key makes. */
export interface Team {
	teamId: string;
	name: string;
	/** The least that keeps its new sandboxes apart; null: anything. */
	minimumIsolation: Isolation | null;
}

/** The team of the key that asks. */
export class Teams {
	readonly #endpoint: Endpoint;

	constructor(endpoint: Endpoint) {
		this.#endpoint = endpoint;
	}

	async mine(options: { signal?: AbortSignal } = {}): Promise<Team> {
		const { body } = await call(this.#endpoint, "GET", "/teams", options);
		const [{ teamId, name, minimumIsolation }] = body as [Team];
		return { teamId, name, minimumIsolation };
	}

	/** For operators. Counts for sandboxes made from now on, of templates, snapshots and forks. */
	async setMinimumIsolation(minimum: Isolation | null, options: { signal?: AbortSignal } = {}): Promise<Team> {
		const { teamId } = await this.mine(options);
		const { body } = await call(this.#endpoint, "PATCH", `/teams/${encodeURIComponent(teamId)}`, {
			body: { minimumIsolation: minimum },
			...options,
		});
		return body as Team;
	}
}
