import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { Agent, request } from "node:http";
import { after, before, suite, test } from "node:test";
import { isReason } from "@dormice/protocol";
import pg from "pg";
import { callsOf, makeNames, type Names } from "../testing/calls.ts";
import { CONTENT_TYPES, mutate, PATH_PARTS, RAW_BODIES, VALUES } from "../testing/mutation.ts";
import { TestPlatform } from "../testing/platform.ts";
import { Random } from "../testing/random.ts";
import { addTeam } from "../testing/team.ts";

const SECONDS = Number(process.env.FUZZ_SECONDS ?? 10);
const SEED = Number(process.env.FUZZ_SEED ?? randomInt(2 ** 31));
/** Sandboxes that were made by the way are ended when there are more. */
const MAX_MADE = 12;

interface Request {
	method: string;
	path: string;
	headers: Record<string, string>;
	body?: string | Buffer;
}

interface Answer {
	status: number;
	text: string;
}

interface Operation {
	parameters?: { name: string; in: string }[];
	requestBody?: { content: Record<string, { schema: { properties?: object } }> };
}

suite("a fuzzer of requests", { timeout: (SECONDS + 60) * 1000 }, () => {
	let platform: TestPlatform;
	let database: pg.Client;
	const agent = new Agent({ keepAlive: true });
	before(async () => {
		platform = await TestPlatform.open();
		database = new pg.Client({ connectionString: platform.databaseUrl });
		await database.connect();
	});
	after(async () => {
		agent.destroy();
		await database.end();
		await platform[Symbol.asyncDispose]();
	});

	const send = ({ method, path, headers, body }: Request): Promise<Answer> =>
		new Promise((resolve, reject) => {
			// Of itself it says no length for a GET.
			const length = body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) };
			const options = { method, path, headers: { ...headers, ...length }, agent };
			const outgoing = request(`${platform.url}/`, options, (response) => {
				let text = "";
				response.setEncoding("utf8").on("data", (chunk: string) => {
					text += chunk;
				});
				response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
				response.on("error", reject);
			});
			outgoing.on("error", reject).end(body);
		});

	/** Of each route, what its query and its body may hold. */
	const fieldsOf = async () => {
		const { paths } = (await platform.api("GET", "/openapi.json")).body as {
			paths: Record<string, Record<string, Operation>>;
		};
		return new Map(
			Object.entries(paths).flatMap(([path, methods]) =>
				Object.entries(methods).map(([method, { parameters = [], requestBody }]) => {
					const query = parameters.filter((one) => one.in === "query").map(({ name }) => name);
					const schemas = Object.values(requestBody?.content ?? {}).map(({ schema }) => schema);
					const body = schemas.flatMap(({ properties = {} }) => Object.keys(properties));
					return [`${method.toUpperCase()} ${path}`, { query, body }] as const;
				}),
			),
		);
	};

	const make = (random: Random, route: string, names: Names, fields: { query: string[]; body: string[] }): Request => {
		const { method, path, body = {} } = random.pick(callsOf(route, names));
		const headers: Record<string, string> = { "x-api-key": platform.e2b.apiKey, "content-type": "application/json" };
		const valid = { method, path, headers, ...(method === "GET" ? {} : { body: JSON.stringify(body) }) };
		switch (random.between(0, 8)) {
			case 0:
			case 1:
			case 2:
				return { ...valid, body: JSON.stringify(mutate(random, body, fields.body)) };
			case 3:
				return { ...valid, body: random.pick(RAW_BODIES) };
			case 4: {
				const type = random.pick(CONTENT_TYPES);
				const { "content-type": _, ...others } = headers;
				return { ...valid, headers: type === undefined ? others : { ...others, "content-type": type } };
			}
			case 5: {
				const [pattern = ""] = path.split("?");
				const parts = pattern.split("/");
				const at = random.between(1, parts.length - 1);
				return { ...valid, path: parts.with(at, random.pick(PATH_PARTS)).join("/") };
			}
			case 6:
			case 7: {
				const name = fields.query.length > 0 ? random.pick(fields.query) : "any";
				const value = random.pick(VALUES);
				// Half of a surrogate pair cannot be written as a query.
				const text = encodeURIComponent(
					String(typeof value === "object" ? JSON.stringify(value) : value).toWellFormed(),
				);
				const raw = random.pick([text, text, text, "%", "%zz", "%ff", "%ed%a0%80", "a&b=c&&=", "[]=1"]);
				return { ...valid, path: `${path}${path.includes("?") ? "&" : "?"}${name}=${raw.slice(0, 20_000)}` };
			}
			default:
				return { ...valid, method: random.pick(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"]) };
		}
	};

	const check = ({ method }: Request, { status, text }: Answer) => {
		assert.ok(status < 500 || status === 501 || status === 503, `an answer of ${status}`);
		if (method === "HEAD" || status === 204) return assert.equal(text, "");
		const answer = JSON.parse(text) as { code: unknown; message: unknown; reason: unknown };
		if (status < 400) return;
		assert.equal(answer.code, status);
		assert.ok(typeof answer.message === "string" && answer.message !== "");
		assert.ok(typeof answer.reason === "string" && isReason(answer.reason), `the reason ${answer.reason}`);
	};

	/** The first team may have killed its sandbox, or forbidden itself to make one. */
	const renew = async (names: Names): Promise<Names> => {
		const snapshot = await platform.api("GET", `/snapshots?name=${encodeURIComponent(names.snapshotID)}`);
		const history = await platform.api("GET", `/sandboxes/${names.sandboxID}/generations`);
		const isWhole =
			(snapshot.body as unknown[]).length > 0 &&
			history.status === 200 &&
			(history.body as { generationID: string }[]).some(({ generationID }) => generationID === names.generationID);
		if (isWhole) return names;
		await platform.api("PATCH", `/teams/${names.teamID}`, { minimumIsolation: null });
		return await makeNames(platform);
	};

	test(`whatever comes, it is answered in JSON and never with a mistake of ours (FUZZ_SEED=${SEED})`, async () => {
		const neighbour = await makeNames(platform, await addTeam(database, "neighbours"));
		const ofNeighbour = async () => {
			const { rows } = await database.query(
				`select s::text as row from sandboxes s where id = $1 union all
				select g::text from generations g where sandbox_id = $1 union all
				select s::text from snapshots s where sandbox_id = $1 union all
				select e::text from events e where sandbox_id = $1 union all
				select t::text from teams t where id = $2`,
				[neighbour.sandboxID, neighbour.teamID],
			);
			const { state, guest } = platform.engine.sandboxes.get(neighbour.sandboxID) ?? {};
			return { rows, state, memory: structuredClone(guest?.memory) };
		};
		const before = await ofNeighbour();
		let names = await makeNames(platform);
		const fields = await fieldsOf();
		// Who takes more gets more.
		const routes = [...fields].flatMap(([route, { query, body }]) => [route, ...query, ...body].map(() => route));
		const random = new Random(SEED);
		const made: string[] = [];
		const statuses = new Map<number, number>();

		const endsAtMs = performance.now() + SECONDS * 1000;
		let sent = 0;
		for (; performance.now() < endsAtMs || sent < routes.length * 5; sent++) {
			const route = random.pick(routes);
			const what = make(random, route, names, fields.get(route) ?? { query: [], body: [] });
			const shown = () =>
				`FUZZ_SEED=${SEED}, request ${sent}: ${JSON.stringify({ ...what, body: String(what.body).slice(0, 2000) })}`;
			try {
				const answer = await send(what);
				statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
				check(what, answer);
				for (const [, id = ""] of answer.status === 201 ? answer.text.matchAll(/"sandboxID":"(\w+)"/g) : []) {
					if (id !== names.sandboxID && !made.includes(id)) made.push(id);
				}
			} catch (error) {
				throw new Error(`${error instanceof Error ? error.message : error}\n${shown()}`, { cause: error });
			}
			while (made.length > MAX_MADE) await platform.api("DELETE", `/sandboxes/${made.shift()}`);
			if (route.startsWith("DELETE") || sent % 50 === 0) names = await renew(names);
		}

		assert.ok((statuses.get(200) ?? 0) > 10 && (statuses.get(400) ?? 0) > 10, JSON.stringify([...statuses]));
		assert.deepEqual(await ofNeighbour(), before, "the neighbour is as it was");
		assert.equal((await fetch(`${platform.url}/health`)).status, 204);
		await makeNames(platform, undefined);
		console.log(`${sent} requests: ${JSON.stringify(Object.fromEntries(statuses))}`);
	});
});
