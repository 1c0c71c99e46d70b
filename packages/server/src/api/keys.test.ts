import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import pg from "pg";
import { TestPlatform } from "../testing/platform.ts";
import { addTeam } from "../testing/team.ts";

suite("keys and what is not there", () => {
	let platform: TestPlatform;
	before(async () => {
		platform = await TestPlatform.open();
	});
	after(() => platform[Symbol.asyncDispose]());

	type Made = { id: string; key: string; name: string; role: string };
	const make = async (body: object) => (await platform.api("POST", "/api-keys", body)).body as Made;
	const list = async (key?: string) => (await platform.api("GET", "/api-keys", undefined, key)).body as Made[];
	const reason = (body: unknown) => (body as { reason: string }).reason;

	test("a key is told once, does what its role may, and opens nothing from when it is deleted", async () => {
		const member = await make({ name: "an agent" });
		const operator = await make({ name: "a colleague", role: "operator" });
		assert.deepEqual([member.role, operator.role], ["member", "operator"]);
		assert.match(member.key, /^e2b_[0-9a-f]{40}$/);
		assert.deepEqual(
			(await list()).map(({ name, key }) => [name, key]),
			[
				["first", undefined],
				["an agent", undefined],
				["a colleague", undefined],
			],
		);
		assert.equal((await platform.api("GET", "/sandboxes", undefined, member.key)).status, 200);
		assert.equal((await platform.api("GET", "/api-keys", undefined, member.key)).status, 403);
		assert.equal((await list(operator.key)).length, 3);
		assert.equal((await platform.api("DELETE", `/api-keys/${member.id}`)).status, 204);
		assert.equal((await platform.api("GET", "/sandboxes", undefined, member.key)).status, 401);
		const again = await platform.api("DELETE", `/api-keys/${member.id}`);
		assert.deepEqual([again.status, reason(again.body)], [404, "key_not_found"]);
		const own = await platform.api("DELETE", `/api-keys/${operator.id}`, undefined, operator.key);
		assert.deepEqual([own.status, reason(own.body)], [409, "state_conflict"]);
	});

	test("another team's keys are not there", async () => {
		await using database = Object.assign(new pg.Client({ connectionString: platform.databaseUrl }), {
			[Symbol.asyncDispose]: async function (this: pg.Client) {
				await this.end();
			},
		});
		await database.connect();
		await addTeam(database, "others");
		const { rows } = await database.query("select id from api_keys where name = 'theirs'");
		const answer = await platform.api("DELETE", `/api-keys/${rows[0].id}`);
		assert.deepEqual([answer.status, reason(answer.body)], [404, "key_not_found"]);
	});

	const wrong: [method: string, path: string, status: number, reason: string, allow: string | null][] = [
		["PUT", "/sandboxes", 405, "method_not_allowed", "GET, HEAD, POST"],
		["DELETE", "/v2/sandboxes?limit=1", 405, "method_not_allowed", "GET, HEAD, POST"],
		["POST", "/sandboxes/i1/generations/", 405, "method_not_allowed", "GET, HEAD"],
		["GET", "/nothing", 404, "route_not_found", null],
		["GET", "/sandboxes/a/b/c", 404, "route_not_found", null],
	];
	for (const [method, path, status, why, allow] of wrong) {
		test(`${method} ${path} is answered ${status}`, async () => {
			const response = await fetch(`${platform.url}${path}`, { method });
			assert.deepEqual(
				[response.status, reason(await response.json()), response.headers.get("allow")],
				[status, why, allow],
			);
		});
	}

	test("a body that is too long is answered 413", async () => {
		const answer = await platform.api("POST", "/v2/sandboxes", { templateID: "x".repeat(5 << 20) });
		assert.deepEqual([answer.status, reason(answer.body)], [413, "body_too_large"]);
	});
});
