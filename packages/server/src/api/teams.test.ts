import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import Fastify from "fastify";
import pg from "pg";
import type { Identity } from "../identity/identity.ts";
import { CALLS, callsOf, makeNames, type Names, routesOf } from "../testing/calls.ts";
import { dumpDatabase } from "../testing/dump.ts";
import { TestPlatform } from "../testing/platform.ts";
import { addTeam } from "../testing/team.ts";
import { guard } from "./access.ts";
import type { App } from "./app.ts";

/** Which answer a member of any team, telling nothing of another team's. */
const FOR_EVERY_TEAM = [
	"GET /health",
	"GET /teams",
	"GET /usage",
	"GET /templates",
	"GET /v2/templates",
	"GET /templates/aliases/{alias}",
	"GET /templates/{templateID}/settings",
	"GET /sandboxes",
	"GET /v2/sandboxes",
	"GET /sandboxes/metrics",
	"GET /snapshots",
];
/** What is the platform's: an operator's. */
const OPERATORS = [
	"PATCH /teams/{teamID}",
	"GET /api-keys",
	"POST /api-keys",
	"DELETE /api-keys/{keyID}",
	"POST /gc",
	"PATCH /templates/{templateID}/settings",
	"POST /templates/{templateID}/prepare",
];
/** What loops ask the engine by themselves, and the one thing that a member's usage asks. */
const HARMLESS = ["list", "stats", "probe", "listRootfs", "listGenerations", "usage", "diagnose"];

suite("teams", { timeout: 120_000 }, () => {
	let platform: TestPlatform;
	let database: pg.Client;
	let stranger: string;
	let first: Names;
	let theirs: Names;
	before(async () => {
		platform = await TestPlatform.open();
		database = new pg.Client({ connectionString: platform.databaseUrl });
		await database.connect();
		stranger = await addTeam(database, "strangers");
		first = await makeNames(platform);
		theirs = await makeNames(platform, stranger);
	});
	after(async () => {
		await database.end();
		await platform[Symbol.asyncDispose]();
	});

	/** Rows and the engine's work; what is sampled comes and goes by itself. */
	const everything = async () => ({
		rows: await dumpDatabase(database, { without: ["metrics"] }),
		calls: [...platform.engine.calls].filter(([verb]) => !HARMLESS.includes(verb)),
	});
	const tellsOfFirst = (answer: unknown) => {
		const text = JSON.stringify(answer) ?? "";
		const ids = [first.sandboxID, first.generationID, first.snapshotID.split(":", 1)[0] ?? "", first.teamID];
		return ids.find((id) => text.includes(id));
	};

	test("every route says whose key it asks for, and is known here", async () => {
		const routes = await routesOf(platform);
		assert.deepEqual([...routes.keys()].toSorted(), Object.keys(CALLS).toSorted(), "testing/calls.ts has every route");
		const operators = [...routes].filter(([, access]) => access === "operator").map(([route]) => route);
		assert.deepEqual(operators.toSorted(), OPERATORS.toSorted());
		const open = [...routes].filter(([, access]) => access === undefined).map(([route]) => route);
		assert.deepEqual(open, ["GET /health"]);
	});

	test("a route that does not say whose key it asks for keeps the server from starting", () => {
		const app = Fastify() as unknown as App;
		guard(app, {} as Identity);
		app.get("/said", { config: { access: "member" } }, () => "");
		assert.throws(() => app.get("/unsaid", () => ""), /GET \/unsaid does not say whose key/);
	});

	test("without a key, or with a wrong one, there is no answer", async () => {
		const before = await everything();
		for (const [route, access] of await routesOf(platform)) {
			for (const { method, path, body } of access === undefined ? [] : callsOf(route, first)) {
				for (const key of ["", "e2b_wrong"]) {
					const answer = await platform.api(method, path, body, key);
					assert.deepEqual([answer.status, tellsOfFirst(answer.body)], [401, undefined], `${method} ${path}`);
				}
			}
		}
		assert.deepEqual(await everything(), before);
	});

	test("another team's key opens nothing, tells nothing and changes nothing of the first team's", async () => {
		const before = await everything();
		for (const route of (await routesOf(platform)).keys()) {
			for (const { method, path, body } of callsOf(route, first)) {
				const answer = await platform.api(method, path, body, stranger);
				const what = `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`;
				if (OPERATORS.includes(route)) {
					assert.deepEqual(
						[answer.status, (answer.body as { reason: string }).reason],
						[403, "permission_denied"],
						what,
					);
				} else if (FOR_EVERY_TEAM.includes(route)) {
					assert.ok(answer.status === 200 || answer.status === 204, what);
					assert.equal(tellsOfFirst(answer.body), undefined, what);
				} else assert.equal(answer.status, 404, what);
			}
		}
		assert.deepEqual(await everything(), before);
	});

	test("nor do the first team's stored states by way of a sandbox of one's own", async () => {
		const before = await everything();
		let made = 0;
		for (const reference of [first.generationID, first.snapshotID]) {
			const mixed = { ...theirs, generationID: reference };
			for (const route of Object.keys(CALLS)) {
				for (const { method, path, body } of callsOf(route, mixed)) {
					if (!decodeURIComponent(path).includes(reference) && !JSON.stringify(body ?? {}).includes(reference))
						continue;
					made++;
					const answer = await platform.api(method, path, body, stranger);
					assert.equal(answer.status, 404, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
				}
			}
		}
		assert.ok(made >= 8, "the table has such calls");
		assert.deepEqual(await everything(), before);
	});

	test("usage tells a member of its own team's, and an operator everything", async () => {
		type Usage = { sandboxes: { sandboxID: string }[]; snapshots: { snapshotID: string }[]; totalBytes?: number };
		const own = (await platform.api("GET", "/usage", undefined, stranger)).body as Usage;
		assert.deepEqual(Object.keys(own).toSorted(), ["sandboxes", "snapshots", "superfluous"]);
		assert.deepEqual(
			[own.sandboxes.map(({ sandboxID }) => sandboxID), own.snapshots.map(({ snapshotID }) => snapshotID)],
			[[theirs.sandboxID], [theirs.snapshotID]],
		);
		const all = (await platform.api("GET", "/usage")).body as Usage;
		assert.deepEqual([all.sandboxes.length, all.snapshots.length, all.totalBytes], [2, 2, 1000]);
	});

	test("only an operator says the least that keeps a team's sandboxes apart, and says it for every team", async () => {
		const set = (teamID: string, minimumIsolation: string | null, key?: string) =>
			platform.api("PATCH", `/teams/${teamID}`, { minimumIsolation }, key);
		assert.equal((await set(theirs.teamID, "gvisor")).status, 200);
		assert.equal((await set(theirs.teamID, null, stranger)).status, 403);
		const [team] = (await platform.api("GET", "/teams", undefined, stranger)).body as object[];
		assert.equal((team as { minimumIsolation: string }).minimumIsolation, "gvisor");
		for (const id of ["00000000-0000-0000-0000-000000000000", "no-uuid", "%22"]) {
			const answer = await set(id, null);
			assert.deepEqual([answer.status, (answer.body as { reason: string }).reason], [404, "team_not_found"]);
		}
	});

	test("a key is one of two roles, and a member's unless somebody said otherwise", async () => {
		const { rows } = await database.query("select name, role from api_keys order by name");
		assert.deepEqual(rows, [
			{ name: "a key", role: "member" },
			{ name: "first", role: "operator" },
			{ name: "theirs", role: "member" },
		]);
		await assert.rejects(database.query("update api_keys set role = 'root'"), /check constraint/);
	});

	test("with the first team's own key, which set-up made, every one of these calls succeeds", async () => {
		for (const route of Object.keys(CALLS)) {
			for (const { method, path, body } of callsOf(route, first)) {
				const answer = await platform.api(method, path, body);
				// A fork goes on from that state by then.
				const isUsed = route.startsWith("DELETE /sandboxes/{sandboxID}/generations") && answer.status === 409;
				assert.ok(answer.status < 300 || isUsed, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
			}
		}
	});
});
