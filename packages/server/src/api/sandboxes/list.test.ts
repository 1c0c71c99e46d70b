import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { AuthenticationError, Sandbox } from "e2b";
import { TestPlatform } from "../../testing/platform.ts";

suite("api", () => {
	let platform: TestPlatform;
	before(async () => {
		platform = await TestPlatform.open();
	});
	after(() => platform[Symbol.asyncDispose]());

	const idsOf = async (options: Parameters<typeof Sandbox.list>[0] = {}) => {
		const paginator = Sandbox.list({ ...platform.e2b, ...options });
		const ids: string[] = [];
		while (paginator.hasNext) for (const { sandboxId } of await paginator.nextItems()) ids.push(sandboxId);
		return ids;
	};

	test("a list is filtered, ordered and paged", async () => {
		const made: string[] = [];
		for (const user of ["a", "b", "a"]) {
			const metadata = { "k y": `v&=1+%${user}` };
			made.push((await Sandbox.create({ ...platform.e2b, metadata })).sandboxId);
		}
		const [first = "", second = "", third = ""] = made;
		await platform.api("POST", `/sandboxes/${second}/pause`);
		assert.deepEqual(await idsOf(), [third, second, first]);
		assert.deepEqual(await idsOf({ limit: 1 }), [third, second, first]);
		assert.deepEqual(await idsOf({ query: { metadata: { "k y": "v&=1+%a" } } }), [third, first]);
		assert.deepEqual(await idsOf({ query: { state: ["paused"] } }), [second]);
		assert.deepEqual(await idsOf({ query: { state: ["running"] } }), [third, first]);
		const asc = await platform.api("GET", "/v2/sandboxes?order=asc&limit=2&state=running,paused");
		assert.deepEqual(
			(asc.body as { sandboxID: string }[]).map(({ sandboxID }) => sandboxID),
			[first, second],
		);
		assert.equal(asc.headers.get("x-total-running"), "2");
		const next = await platform.api(
			"GET",
			`/v2/sandboxes?order=asc&limit=2&nextToken=${asc.headers.get("x-next-token")}`,
		);
		assert.deepEqual(
			(next.body as { sandboxID: string }[]).map(({ sandboxID }) => sandboxID),
			[third],
		);
		assert.equal(next.headers.get("x-next-token"), null);
		const { startedAt } = await Sandbox.getInfo(third, platform.e2b);
		const since = await platform.api("GET", `/v2/sandboxes?startedAfter=${startedAt.toISOString()}`);
		assert.equal((since.body as unknown[]).length, 1);
		assert.deepEqual((await platform.api("GET", "/v2/sandboxes?template=nothing")).body, []);
		assert.equal(((await platform.api("GET", "/v2/sandboxes?template=base")).body as unknown[]).length, 3);
		assert.equal(((await platform.api("GET", "/sandboxes")).body as unknown[]).length, 2);
		const metrics = await platform.api("GET", `/sandboxes/metrics?sandbox_ids=${made.join()}`);
		assert.equal(metrics.status, 200);
		for (const id of made) await Sandbox.kill(id, platform.e2b);
	});

	/** [method, path, body, status, part of the message] */
	const REFUSED: [string, string, unknown, number, RegExp][] = [
		["POST", "/v2/sandboxes", {}, 400, /templateID/],
		["POST", "/v2/sandboxes", { templateID: "base", timeout: 0 }, 400, /greater than 0/],
		["POST", "/v2/sandboxes", { templateID: "base", timeout: 1e6 }, 400, /cannot be greater than 24 hours/],
		["POST", "/v2/sandboxes", { templateID: "nope" }, 404, /template 'nope' not found/],
		["POST", "/v2/sandboxes", { templateID: "base:x" }, 404, /tag 'x' does not exist/],
		["POST", "/v2/sandboxes", { templateID: "base", metadata: { a: 1 } }, 400, /metadata/],
		["POST", "/v2/sandboxes", { templateID: "base", autoPauseMemory: false }, 400, /autoPause: true/],
		["POST", "/sandboxes", { templateID: "base", network: { allowPublicTraffic: false } }, 400, /secure/],
		["POST", "/v2/sandboxes", { templateID: "base", network: { denyOut: ["x"] } }, 400, /invalid denied CIDR x/],
		["POST", "/v2/sandboxes", { templateID: "base", network: { allowOut: ["a.com"] } }, 400, /0\.0\.0\.0\/0/],
		["POST", "/v2/sandboxes", { templateID: "base", network: { httpsPorts: [49983] } }, 400, /reserved port 49983/],
		["POST", "/v2/sandboxes", { templateID: "base", network: { egressProxy: { address: "a:1" } } }, 403, /proxy/],
		["POST", "/v2/sandboxes", { templateID: "base", volumeMounts: [{ name: "a", path: "/" }] }, 400, /mount #0/],
		["GET", "/v2/sandboxes?nextToken=x", undefined, 400, /Invalid next token/],
		["GET", "/v2/sandboxes?limit=101", undefined, 400, /limit/],
		["GET", "/v2/sandboxes?state=dozing", undefined, 400, /dozing/],
		["GET", "/v2/sandboxes?template=base:x", undefined, 400, /tag/],
		["GET", "/sandboxes/inope", undefined, 404, /Sandbox "inope" doesn't exist/],
		["DELETE", "/sandboxes/inope", undefined, 404, /doesn't exist/],
		["POST", "/sandboxes/inope/timeout", { timeout: 1 }, 404, /doesn't exist/],
		["POST", "/volumes", { name: "a" }, 501, /yet/],
		["GET", "/nothing", undefined, 404, /openapi/],
	];
	for (const [method, path, sent, status, message] of REFUSED) {
		test(`${method} ${path} ${JSON.stringify(sent) ?? ""} is ${status}`, async () => {
			const { body, ...answer } = await platform.api(method, path, sent);
			assert.equal(answer.status, status);
			assert.equal((body as { code: number }).code, status);
			assert.match((body as { message: string }).message, message);
		});
	}

	test("a key is needed, in either header", async () => {
		await assert.rejects(Sandbox.create({ ...platform.e2b, apiKey: "e2b_wrong" }), AuthenticationError);
		assert.equal((await fetch(`${platform.url}/teams`)).status, 401);
		const headers = { authorization: `Bearer ${platform.e2b.apiKey}` };
		assert.equal((await fetch(`${platform.url}/teams`, { headers })).status, 200);
	});

	test("bodies may be left out, empty, in chunks, or broken", async () => {
		const { sandboxId } = await Sandbox.create(platform.e2b);
		const post = (body: string | ReadableStream | undefined, headers: Record<string, string> = {}) =>
			fetch(`${platform.url}/v2/sandboxes/${sandboxId}/connect`, {
				method: "POST",
				headers: { "x-api-key": platform.e2b.apiKey, ...headers },
				...(body === undefined ? {} : { body, duplex: "half" }),
			} as RequestInit);
		const json = { "content-type": "application/json" };
		assert.equal((await post(undefined)).status, 200);
		assert.equal((await post(undefined, json)).status, 200);
		assert.equal((await post("", json)).status, 200);
		assert.equal((await post(new Blob(['{"timeout":9}']).stream(), json)).status, 200);
		assert.equal((await post("{", json)).status, 400);
		assert.equal((await post('{"timeout":"9"}', json)).status, 400);
		await Sandbox.kill(sandboxId, platform.e2b);
	});

	test("the network is stored, and replaced but for the way in", async () => {
		const network = { allowPublicTraffic: false, denyOut: ["0.0.0.0/0"], allowOut: ["a.com"] };
		const { sandboxId } = await Sandbox.create({ ...platform.e2b, network });
		assert.equal((await platform.api("PUT", `/sandboxes/${sandboxId}/network`, { denyOut: ["1.1.1.1"] })).status, 204);
		const { body } = await platform.api("GET", `/sandboxes/${sandboxId}`);
		assert.deepEqual((body as { network: object }).network, { allowPublicTraffic: false, denyOut: ["1.1.1.1"] });
		await Sandbox.kill(sandboxId, platform.e2b);
	});

	test("the API describes itself, to any page", async () => {
		const answer = await fetch(`${platform.url}/openapi.json`);
		assert.equal(answer.headers.get("access-control-allow-origin"), "*");
		const { paths } = (await answer.json()) as { paths: Record<string, object> };
		assert.ok(paths["/v2/sandboxes/{sandboxID}/connect"]);
		assert.equal((await fetch(`${platform.url}/v2/sandboxes`, { method: "OPTIONS" })).status, 204);
		assert.equal((await platform.api("GET", "/templates/aliases/base")).status, 200);
	});
});
