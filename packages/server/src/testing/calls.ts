import type { TestPlatform } from "./platform.ts";

/** What there is to name in a call. */
export interface Names {
	sandboxID: string;
	/** Of that sandbox's history. */
	generationID: string;
	snapshotID: string;
	teamID: string;
	/** A key that only this names. */
	keyID: string;
}

export interface Call {
	method: string;
	path: string;
	body: object | undefined;
}

type Rest = (names: Names) => { query?: string; body?: object; templateID?: string };

const nothing: Rest = () => ({});

/**
 * Each route of the API, with calls that succeed for whoever owns what they name. In an order in which they can be made
 * one after the other. Who adds a route says here how it is called.
 */
export const CALLS: Record<string, Rest | Rest[]> = {
	"GET /health": nothing,
	"GET /teams": nothing,
	"PATCH /teams/{teamID}": () => ({ body: { minimumIsolation: "gvisor" } }),
	"GET /api-keys": nothing,
	"POST /api-keys": [() => ({ body: { name: "another" } }), () => ({ body: { name: "one more", role: "operator" } })],
	"DELETE /api-keys/{keyID}": nothing,
	"GET /usage": nothing,
	"POST /gc": [() => ({ body: { dryRun: true } }), nothing],
	"GET /templates": nothing,
	"GET /v2/templates": nothing,
	"GET /templates/aliases/{alias}": nothing,
	"GET /templates/{templateID}/settings": nothing,
	"PATCH /templates/{templateID}/settings": () => ({ body: { dozeAfterMs: 60_000, retention: { last: 1 } } }),
	"POST /templates/{templateID}/prepare": () => ({ body: { isolation: "gvisor" } }),
	"POST /sandboxes": ({ snapshotID }) => ({ body: { templateID: snapshotID, timeout: 600 } }),
	"POST /v2/sandboxes": ({ snapshotID }) => ({
		body: {
			templateID: snapshotID,
			timeout: 600,
			metadata: { purpose: "a test" },
			envVars: { NAME: "value" },
			network: { denyOut: ["0.0.0.0/0"], allowOut: ["api.example"], httpsPorts: [8443] },
			autoPause: true,
			autoResume: { enabled: true },
			retention: { last: 3 },
			dozeAfterMs: 0,
			doze: "idle",
			isolation: "auto",
		},
	}),
	"GET /sandboxes": [nothing, () => ({ query: "metadata=a%3Db" })],
	"GET /v2/sandboxes": [
		nothing,
		() => ({ query: "state=running,paused&order=asc&limit=10&startedAfter=2026-01-01T00:00:00Z" }),
	],
	"GET /sandboxes/metrics": ({ sandboxID }) => ({ query: `sandbox_ids=${sandboxID}` }),
	"GET /sandboxes/{sandboxID}": nothing,
	"GET /sandboxes/{sandboxID}/metrics": [nothing, () => ({ query: "start=0&end=1" })],
	"GET /sandboxes/{sandboxID}/logs": [nothing, () => ({ query: "start=0&limit=5" })],
	"GET /v2/sandboxes/{sandboxID}/logs": [
		nothing,
		() => ({ query: "cursor=0&limit=5&direction=forward&level=info&search=a" }),
	],
	"GET /sandboxes/{sandboxID}/lifecycle": [nothing, () => ({ query: "limit=5" })],
	"POST /sandboxes/{sandboxID}/timeout": () => ({ body: { timeout: 900 } }),
	"POST /sandboxes/{sandboxID}/refreshes": () => ({ body: { duration: 60 } }),
	"PUT /sandboxes/{sandboxID}/network": () => ({ body: { denyOut: ["10.0.0.0/8"], allow_internet_access: false } }),
	"PUT /sandboxes/{sandboxID}/retention": () => ({ body: { last: 5, checkpoints: 5, daily: 1 } }),
	"POST /sandboxes/{sandboxID}/checkpoints": () => ({ body: { label: "another" } }),
	"GET /sandboxes/{sandboxID}/generations": nothing,
	"GET /sandboxes/{sandboxID}/diff": [
		({ generationID }) => ({ query: `from=${generationID}` }),
		({ generationID }) => ({ query: `from=${generationID}&to=${generationID}` }),
	],
	"POST /sandboxes/{sandboxID}/fork": [
		() => ({ body: { count: 2, timeout: 600 } }),
		({ generationID }) => ({ body: { generationID, timeout: 600 } }),
	],
	"POST /sandboxes/{sandboxID}/snapshots": [nothing, () => ({ body: { name: "named" } })],
	"GET /snapshots": [nothing, ({ sandboxID }) => ({ query: `sandboxID=${sandboxID}&limit=5` })],
	"POST /sandboxes/{sandboxID}/rollback": ({ generationID }) => ({ body: { generationID } }),
	"POST /sandboxes/{sandboxID}/pause": () => ({ body: { memory: true } }),
	"POST /sandboxes/{sandboxID}/resume": () => ({ body: { timeout: 600 } }),
	"POST /sandboxes/{sandboxID}/connect": () => ({ body: { timeout: 600, memory: true } }),
	"POST /v2/sandboxes/{sandboxID}/connect": () => ({ body: { timeout: 600 } }),
	"DELETE /templates/{templateID}": ({ snapshotID }) => ({ templateID: snapshotID }),
	"DELETE /sandboxes/{sandboxID}/generations/{generationID}": nothing,
	"DELETE /sandboxes/{sandboxID}": nothing,
};

/** The calls of one route. */
export function callsOf(route: string, names: Names): Call[] {
	return [CALLS[route] ?? nothing].flat().map((rest) => {
		const { query, body, templateID = "base" } = rest(names);
		const [method = "", pattern = ""] = route.split(" ");
		const values: Record<string, string> = { ...names, templateID, alias: "base" };
		const path = pattern.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(values[name] ?? name));
		return { method, path: query === undefined ? path : `${path}?${query}`, body };
	});
}

interface Document {
	paths: Record<string, Record<string, { "x-dormice-access"?: string }>>;
}

/** The API's routes as its document tells them, each with whose key it asks for. */
export async function routesOf(platform: TestPlatform): Promise<Map<string, string | undefined>> {
	const { paths } = (await platform.api("GET", "/openapi.json")).body as Document;
	return new Map(
		Object.entries(paths).flatMap(([path, methods]) =>
			Object.entries(methods).map(
				([method, operation]) => [`${method.toUpperCase()} ${path}`, operation["x-dormice-access"]] as const,
			),
		),
	);
}

/** A sandbox with a history and a snapshot, and the names of all that. */
export async function makeNames(platform: TestPlatform, key?: string): Promise<Names> {
	const post = async (path: string, body: object) => {
		const answer = await platform.api("POST", path, body, key);
		if (answer.status !== 201) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
		return answer.body as Record<string, string>;
	};
	const { sandboxID = "" } = await post("/v2/sandboxes", { templateID: "base", timeout: 3600, dozeAfterMs: 0 });
	const { generationID = "" } = await post(`/sandboxes/${sandboxID}/checkpoints`, { label: "kept" });
	const { snapshotID = "" } = await post(`/sandboxes/${sandboxID}/snapshots`, {});
	const [team] = (await platform.api("GET", "/teams", undefined, key)).body as { teamID: string }[];
	// A member may make none.
	const made = await platform.api("POST", "/api-keys", { name: "a key" }, key);
	const keyID = made.status === 201 ? (made.body as { id: string }).id : "none";
	return { sandboxID, generationID, snapshotID, teamID: team?.teamID ?? "", keyID };
}
