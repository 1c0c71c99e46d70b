import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import pg from "pg";
import { dumpDatabase } from "../testing/dump.ts";
import { APP_PORT } from "../testing/fake-guest.ts";
import { SECRETS_KEY, TestPlatform, until } from "../testing/platform.ts";

const CANARY = "canary-5f3b9c";

type Created = { sandboxID: string; envdAccessToken: string; trafficAccessToken: string };

suite("secrets at rest", { timeout: 120_000 }, () => {
	let platform: TestPlatform;
	let database: pg.Client;
	before(async () => {
		platform = await TestPlatform.open();
		database = new pg.Client({ connectionString: platform.databaseUrl });
		await database.connect();
	});
	after(async () => {
		await database.end();
		await platform[Symbol.asyncDispose]();
	});

	const dump = () => dumpDatabase(database);
	const create = async (body: object) => {
		const answer = await platform.api("POST", "/v2/sandboxes", { timeout: 600, ...body });
		assert.equal(answer.status, 201, JSON.stringify(answer.body));
		return answer.body as Created;
	};
	const network = {
		allowPublicTraffic: false,
		rules: { "api.example": [{ transform: { headers: { authorization: `${CANARY}-header` } } }] },
	};

	let one: Created;
	const tokens: string[] = [];

	test("no column of any table tells a sandbox's environment, tokens or header rules", async () => {
		one = await create({ templateID: "base", envVars: { SECRET: `${CANARY}-env` }, network });
		const { sandboxID: id } = one;
		await platform.api("POST", `/sandboxes/${id}/checkpoints`, { label: "kept" });
		const taken = await platform.api("POST", `/sandboxes/${id}/snapshots`, { name: "shot" });
		assert.equal(taken.status, 201);
		await platform.api("PUT", `/sandboxes/${id}/network`, network);
		const two = await create({ templateID: "shot" });
		assert.equal(platform.engine.guest(two.sandboxID).memory.env.SECRET, `${CANARY}-env`);
		const forks = (await platform.api("POST", `/sandboxes/${id}/fork`, { timeout: 600 })).body as {
			sandbox: Created;
		}[];
		await platform.api("POST", `/sandboxes/${id}/rollback`, { generationID: "kept" });
		await platform.api("POST", `/sandboxes/${two.sandboxID}/pause`);
		for (const made of [one, two, ...forks.map(({ sandbox }) => sandbox)]) {
			tokens.push(made.envdAccessToken, ...(made.trafficAccessToken === undefined ? [] : [made.trafficAccessToken]));
		}
		assert.ok(tokens.length >= 4);
		const text = await dump();
		assert.ok(text.includes(id), "the dump has the rows");
		for (const secret of [CANARY, ...tokens]) {
			for (const form of [
				secret,
				Buffer.from(secret).toString("hex"),
				Buffer.from(secret).toString("base64").slice(0, -4),
			]) {
				assert.ok(!text.includes(form), `${secret} lies in the database`);
			}
		}
	});

	test("the next server reads them, and the sandboxes go on with them", async () => {
		await platform.stop();
		await platform.start();
		const { sandboxID: id } = one;
		const detail = (await platform.api("GET", `/sandboxes/${id}`)).body as Created & { network: { rules: object } };
		assert.equal(detail.envdAccessToken, one.envdAccessToken);
		assert.deepEqual(detail.network.rules, network.rules);
		const count = (token: string) =>
			platform.sandbox(id, APP_PORT, "/count", { headers: { "e2b-traffic-access-token": token } });
		assert.equal((await count(one.trafficAccessToken)).status, 200);
		assert.equal((await count("wrong")).status, 403);
	});

	test("with another key the platform says so, serves nothing and changes nothing", async () => {
		await platform.stop();
		const before = await dump();
		await platform.start({ untilReady: false, secretsKey: "f".repeat(64) });
		let message = "";
		await until(async () => {
			message = ((await (await fetch(`${platform.url}/health`)).json()) as { message: string }).message;
			return message.includes("sealed");
		});
		assert.match(message, /secrets\.key.*DORMICE_SECRETS_KEY/);
		assert.ok(!message.includes("ffff"));
		assert.equal((await platform.api("GET", `/sandboxes/${one.sandboxID}`)).status, 503);
		await platform.stop();
		assert.equal(await dump(), before);
		await platform.start();
		assert.equal((await platform.api("GET", `/sandboxes/${one.sandboxID}`)).status, 200);
	});

	test("without a key, or with one that is none, no server starts", async () => {
		await platform.stop();
		await assert.rejects(platform.start({ secretsKey: "" }), /secrets\.key.*backup/);
		await assert.rejects(platform.start({ secretsKey: "short" }), /DORMICE_SECRETS_KEY must be/);
		await writeFile(join(platform.dataDir, "secrets.key"), `${SECRETS_KEY}\n`);
		await platform.start({ secretsKey: "" });
		assert.equal((await platform.api("GET", `/sandboxes/${one.sandboxID}`)).status, 200);
	});

	test("a sealed text that was moved to another row is refused, and no token of anybody's opens with it", async () => {
		await platform.stop();
		const rows = await database.query("select id, access_token from sandboxes where id <> $1 limit 1", [one.sandboxID]);
		const { id, access_token: own } = rows.rows[0];
		const swap = "update sandboxes set access_token = (select access_token from sandboxes where id = $2) where id = $1";
		await database.query(swap, [id, one.sandboxID]);
		await platform.start({ untilReady: false });
		let health = "";
		await until(async () => {
			health = await (await fetch(`${platform.url}/health`)).text();
			return health.includes("server's log");
		});
		assert.ok(!health.includes(id), "whoever asks for health has no key");
		assert.equal((await platform.api("GET", `/sandboxes/${id}`)).status, 503);
		await database.query("update sandboxes set access_token = $2 where id = $1", [id, own]);
		await until(async () => (await fetch(`${platform.url}/health`)).status === 204);
	});
});
