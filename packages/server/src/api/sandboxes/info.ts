import { MEMBER } from "../access.ts";
import type { App } from "../app.ts";
import type { Platform } from "../platform.ts";
import { toDetail } from "./answers.ts";
import { SandboxParams, tags } from "./schemas.ts";

export function infoRoutes(app: App, platform: Platform): void {
	app.get(
		"/sandboxes/:sandboxID",
		{ config: MEMBER, schema: { tags, params: SandboxParams } },
		async ({ params, team }) => toDetail(platform.host.table.owned(params.sandboxID, team.id).record, platform),
	);
}
