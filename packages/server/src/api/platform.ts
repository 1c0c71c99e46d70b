import type { Identity, Team } from "../identity/identity.ts";
import type { Access, Role } from "../identity/role.ts";
import type { Idleness } from "../idleness/idleness.ts";
import type { Sampler } from "../metrics/sample.ts";
import type { Host } from "../sandboxes/host.ts";
import type { Preparation } from "../templates/preparation.ts";
import type { Templates } from "../templates/templates.ts";

/** What the routes work with. */
export interface Platform {
	host: Host;
	identity: Identity;
	templates: Templates;
	preparation: Preparation;
	sampler: Sampler;
	idleness: Idleness;
	/** Below which sandboxes have host names; clients build addresses with it. */
	domain: () => string;
	/** Resolves when a sandbox could be made now; throws saying what is missing. */
	ready: () => Promise<void>;
}

declare module "fastify" {
	interface FastifyRequest {
		/** Who asks; set on every route that needs a key. */
		team: Team;
		role: Role;
	}
	interface FastifyContextConfig {
		/** Whose key this route asks for. Every route that needs a key says it, or the server does not start. */
		access?: Access;
	}
}
