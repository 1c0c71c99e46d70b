import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { CALLS, callsOf, makeNames, type Names } from "../testing/calls.ts";
import { TestPlatform } from "../testing/platform.ts";

const BAD = { "a NUL character": "a\0b", "half of a surrogate pair": "a\ud800b" };

interface Refusal {
	code: number;
	message: string;
	reason: string;
}

/** Each string in a body, keys too, as a copy of the body with that one replaced. */
function* replaced(value: unknown, bad: string): Generator<unknown> {
	if (typeof value === "string") yield bad;
	if (Array.isArray(value)) {
		for (const [at, inner] of value.entries()) for (const one of replaced(inner, bad)) yield value.with(at, one);
	} else if (typeof value === "object" && value !== null) {
		for (const [key, inner] of Object.entries(value)) {
			for (const one of replaced(inner, bad)) yield { ...value, [key]: one };
		}
		yield { ...value, [bad]: "unknown to every route" };
	}
}

suite("texts of requests", { timeout: 120_000 }, () => {
	let platform: TestPlatform;
	let names: Names;
	before(async () => {
		platform = await TestPlatform.open();
		names = await makeNames(platform);
	});
	after(() => platform[Symbol.asyncDispose]());

	const refused = async (method: string, path: string, body: unknown, says: string) => {
		const answer = await platform.api(method, path, body);
		const { code, message, reason } = answer.body as Refusal;
		const what = `${method} ${path} ${JSON.stringify(body)}: ${answer.status} ${message}`;
		assert.deepEqual([answer.status, code, reason], [400, 400, "invalid_argument"], what);
		assert.ok(message.includes(says), what);
	};

	for (const [name, bad] of Object.entries(BAD)) {
		test(`${name} is refused wherever a body of any route has text`, async () => {
			const rich = {
				templateID: "base",
				metadata: { a: "b" },
				envVars: { A: "b" },
				mcp: { server: { deep: ["x"] } },
				network: {
					allowOut: ["10.0.0.1"],
					denyOut: ["0.0.0.0/0"],
					maskRequestHost: "a.example",
					rules: { "a.example": [{ transform: { headers: { name: "value" } } }] },
				},
			};
			let made = 0;
			const bodies = Object.keys(CALLS).flatMap((route) => callsOf(route, names));
			for (const { method, path, body } of [...bodies, { method: "POST", path: "/sandboxes", body: rich }]) {
				if (body === undefined || method === "GET") continue;
				for (const one of replaced(body, bad)) {
					await refused(method, path, one, name);
					made++;
				}
			}
			assert.ok(made > 50, `${made} were tried`);
		});
	}

	test("a NUL character is refused in every query and every part of a path", async () => {
		for (const route of Object.keys(CALLS)) {
			const [method = "", pattern = ""] = route.split(" ");
			for (const { path } of callsOf(route, names)) {
				const joint = path.includes("?") ? "&" : "?";
				const body = method === "GET" ? undefined : {};
				if (route !== "GET /health") await refused(method, `${path}${joint}any=%00`, body, "query");
			}
			for (const [parameter] of pattern.matchAll(/\{\w+\}/g)) {
				const path = pattern.replace(parameter, "a%00").replace(/\{\w+\}/g, "a");
				await refused(method, path, method === "GET" ? undefined : {}, "path");
			}
		}
	});

	test("what is nested deeper than anybody needs is refused", async () => {
		const deep = (levels: number) => `${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`;
		for (const levels of [40, 100_000]) {
			const response = await fetch(`${platform.url}/sandboxes`, {
				method: "POST",
				headers: { "x-api-key": platform.e2b.apiKey },
				body: `{"templateID":"base","mcp":${deep(levels)}}`,
			});
			assert.equal(response.status, 400);
			assert.match(((await response.json()) as Refusal).message, /nested deeper than 32 levels/);
		}
	});

	const pairs = (count: number, key = "k", value = "v") =>
		Object.fromEntries(Array.from({ length: count }, (_, i) => [`${key}${i}`, value]));
	const tooMuch: Record<string, [object, RegExp]> = {
		"129 keys of metadata": [{ metadata: pairs(129) }, /metadata: at most 128 keys, and there are 129/],
		"129 variables": [{ envVars: pairs(129) }, /envVars: at most 128 keys, and there are 129/],
		"a key of 257 bytes": [
			{ metadata: { ["ü".repeat(129)]: "" } },
			/metadata: a key has at most 256 bytes, and .* has 258/,
		],
		"more than 64 KiB together": [
			{ metadata: { a: "x".repeat(40_000) }, envVars: { A: "x".repeat(30_000) } },
			/at most 65536 bytes .* and there are 70002/,
		],
		"3.9 MB of metadata": [{ metadata: { a: "x".repeat(3_900_000) } }, /at most 65536 bytes .* and there are 3900001/],
		"a network entry that is any text": [
			{ network: { denyOut: [`fe80::1%${"x".repeat(1000)}`] } },
			/invalid denied CIDR/,
		],
	};
	for (const [name, [body, says]] of Object.entries(tooMuch)) {
		test(`${name} is refused, saying what the limit is and what was sent`, async () => {
			const answer = await platform.api("POST", "/sandboxes", { templateID: "base", ...body });
			assert.equal(answer.status, 400);
			assert.match((answer.body as Refusal).message, says);
		});
	}

	test("up to the limits everything is taken; from a snapshot, both together count", async () => {
		const body = { templateID: "base", timeout: 600, metadata: pairs(128), envVars: { A: "x".repeat(60_000) } };
		const made = await platform.api("POST", "/sandboxes", body);
		assert.equal(made.status, 201, JSON.stringify(made.body));
		const { sandboxID: id } = made.body as { sandboxID: string };
		const { snapshotID } = (await platform.api("POST", `/sandboxes/${id}/snapshots`, {})).body as {
			snapshotID: string;
		};
		const from = (envVars: object) => platform.api("POST", "/sandboxes", { templateID: snapshotID, envVars });
		assert.equal((await from({ B: "x".repeat(10_000) })).status, 400);
		assert.equal((await from({ A: "x".repeat(10_000) })).status, 201);
	});

	test("what a route does not know is not stored", async () => {
		const network = { denyOut: ["0.0.0.0/0"], unknown: "x".repeat(100_000) };
		const { sandboxID: id } = (await platform.api("POST", "/sandboxes", { templateID: "base", network })).body as {
			sandboxID: string;
		};
		const detail = (await platform.api("GET", `/sandboxes/${id}`)).body as { network: object };
		assert.deepEqual(detail.network, { denyOut: ["0.0.0.0/0"] });
	});

	test("a place in a list that no database has is none", async () => {
		const lists = { "/v2/sandboxes": names.sandboxID, "/snapshots": names.snapshotID };
		for (const [path, id] of Object.entries(lists)) {
			for (const time of ["-271821-04-20T00:00:00.000Z", "+275760-09-13T00:00:00.000Z", "", "never"]) {
				const token = Buffer.from(`${time}__${id}`).toString("base64url");
				await refused("GET", `${path}?nextToken=${token}`, undefined, "next token");
			}
			const token = Buffer.from(`2026-01-01T00:00:00.000Z__${id}`).toString("base64url");
			assert.equal((await platform.api("GET", `${path}?nextToken=${token}`)).status, 200);
		}
	});

	test("a list by metadata minds every key", async () => {
		const listed = (await platform.api("GET", "/v2/sandboxes?metadata=__proto__%3Dx")).body;
		assert.deepEqual(listed, []);
	});
});
