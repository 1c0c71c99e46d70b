import type { App } from "../app.ts";
import type { Platform } from "../platform.ts";
import { prepareRoutes } from "./prepare.ts";
import { settingsRoutes } from "./settings.ts";
import { listRoutes } from "./templates.ts";

/** Everything below `/templates` but the snapshots, which E2B deletes there. */
export function templateRoutes(app: App, platform: Platform): void {
	listRoutes(app, platform);
	settingsRoutes(app, platform);
	prepareRoutes(app, platform);
}
