import type { ClientOptions, Endpoint } from "./endpoint.ts";
import { Keys } from "./keys.ts";
import { Sandboxes } from "./sandboxes.ts";
import { Storage } from "./storage.ts";
import { Teams } from "./teams.ts";
import { Templates } from "./templates.ts";

/**
 * A client of one Dormice platform.
 *
 * ```ts
 * const dormice = new Dormice({ apiKey, url: "http://127.0.0.1:3999" });
 * const sandbox = await dormice.sandboxes.create();
 * const { stdout } = await sandbox.exec("uname -a").result();
 * await sandbox.pause();
 * ```
 */
export class Dormice {
	readonly sandboxes: Sandboxes;
	readonly storage: Storage;
	readonly templates: Templates;
	readonly teams: Teams;
	readonly keys: Keys;

	constructor(options: ClientOptions) {
		const endpoint: Endpoint = {
			apiKey: options.apiKey,
			url: options.url,
			sandboxUrl: options.sandboxUrl ?? options.url,
			fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
		};
		this.sandboxes = new Sandboxes(endpoint);
		this.storage = new Storage(endpoint);
		this.templates = new Templates(endpoint);
		this.teams = new Teams(endpoint);
		this.keys = new Keys(endpoint);
	}
}
