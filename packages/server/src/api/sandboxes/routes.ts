import type { App } from "../app.ts";
import type { Platform } from "../platform.ts";
import { connectRoutes } from "./connect.ts";
import { createRoutes } from "./create.ts";
import { forkRoutes } from "./fork.ts";
import { historyRoutes } from "./history.ts";
import { infoRoutes } from "./info.ts";
import { lifecycleRoutes } from "./lifecycle.ts";
import { listRoutes } from "./list.ts";
import { logRoutes } from "./logs.ts";
import { metricRoutes } from "./metrics.ts";
import { networkRoutes } from "./network.ts";
import { pauseRoutes } from "./pause.ts";
import { timeoutRoutes } from "./timeout.ts";

/** Everything below `/sandboxes`. Where E2B has two versions of a route, both are here. */
export function sandboxRoutes(app: App, platform: Platform): void {
	createRoutes(app, platform);
	listRoutes(app, platform);
	metricRoutes(app, platform);
	infoRoutes(app, platform);
	connectRoutes(app, platform);
	pauseRoutes(app, platform);
	timeoutRoutes(app, platform);
	networkRoutes(app, platform);
	logRoutes(app, platform);
	forkRoutes(app, platform);
	historyRoutes(app, platform);
	lifecycleRoutes(app, platform);
}
