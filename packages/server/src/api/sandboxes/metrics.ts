import { Type } from "typebox";
import type { Metric } from "../../database/schema.ts";
import { newestMetrics, readMetrics } from "../../metrics/read.ts";
import { MEMBER } from "../access.ts";
import type { App } from "../app.ts";
import type { Platform } from "../platform.ts";
import { SandboxParams, tags } from "./schemas.ts";

const Seconds = Type.Optional(Type.Integer({ minimum: 0, maximum: 8.64e12 }));

/** What sandboxes use. */
export function metricRoutes(app: App, { host, sampler }: Platform): void {
	const one = { tags, params: SandboxParams, querystring: Type.Object({ start: Seconds, end: Seconds }) };
	app.get("/sandboxes/:sandboxID/metrics", { config: MEMBER, schema: one }, async ({ params, query, team }) => {
		const resident = host.table.owned(params.sandboxID, team.id);
		const at = (seconds: number | undefined) => (seconds === undefined ? undefined : new Date(seconds * 1000));
		const metrics = await readMetrics(host, sampler, resident, { start: at(query.start), end: at(query.end) });
		return metrics.map(toMetric);
	});

	const many = { tags, querystring: Type.Object({ sandbox_ids: Type.String() }) };
	app.get("/sandboxes/metrics", { config: MEMBER, schema: many }, async ({ query, team }) => {
		const ids = query.sandbox_ids.split(",").filter((id) => host.table.get(id)?.record.teamId === team.id);
		const metrics = ids.length === 0 ? [] : await newestMetrics(host, ids);
		return { sandboxes: Object.fromEntries(metrics.map((metric) => [metric.sandboxId, toMetric(metric)])) };
	});
}

function toMetric(metric: Metric) {
	return {
		timestamp: metric.at.toISOString(),
		timestampUnix: Math.floor(metric.at.getTime() / 1000),
		cpuCount: metric.cpuCount,
		cpuUsedPct: metric.cpuUsedPct,
		memUsed: metric.memUsedBytes,
		memTotal: metric.memTotalBytes,
		memCache: metric.memCacheBytes,
		diskUsed: metric.diskUsedBytes,
		diskTotal: metric.diskTotalBytes,
	};
}
