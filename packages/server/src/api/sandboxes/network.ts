import { replaceEgress } from "../../sandboxes/egress.ts";
import { MEMBER } from "../access.ts";
import type { App } from "../app.ts";
import type { Platform } from "../platform.ts";
import { EgressBody, SandboxParams, tags } from "./schemas.ts";

/** Replaces what a sandbox may reach; what is left out is cleared. */
export function networkRoutes(app: App, { host }: Platform): void {
	const schema = { tags, params: SandboxParams, body: EgressBody };
	app.put("/sandboxes/:sandboxID/network", { config: MEMBER, schema }, async ({ params, body, team }, reply) => {
		const { allow_internet_access: allowInternetAccess, ...egress } = body;
		const resident = host.table.owned(params.sandboxID, team.id);
		await replaceEgress(host, resident, egress, allowInternetAccess);
		return reply.code(204).send();
	});
}
