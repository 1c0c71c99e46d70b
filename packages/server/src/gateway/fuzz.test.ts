import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Sandbox } from "e2b";
import { APP_PORT } from "../testing/fake-guest.ts";
import { HostileGuest } from "../testing/hostile-guest.ts";
import { TestPlatform } from "../testing/platform.ts";
import { Random } from "../testing/random.ts";

const SEED = Number(process.env.FUZZ_SEED || Date.now() % 1e6);
const ANSWERS = Number(process.env.FUZZ_ANSWERS || 20_000);
const AT_ONCE = 16;
const PORT = 7070;

const METHODS = ["GET", "GET", "HEAD", "POST", "PUT", "OPTIONS", "DELETE"];
const EXTRAS = [
	...["", "", "", "Connection: Upgrade\r\nUpgrade: websocket\r\n", "TE: trailers\r\n", "Trailer: X-Sum\r\n"],
	...["Expect: 100-continue\r\n", "Connection: keep-alive, X\r\nX: 1\r\n", "Upgrade: h2c\r\nConnection: Upgrade\r\n"],
	"User-Agent: Mozilla/5.0\r\nAccept: text/html\r\n",
];

/** A request of a client, well-formed, of a kind that makes the gateway's own ways differ. */
function request(random: Random, sandboxId: string): string {
	const method = random.pick(METHODS);
	const version = random.next() < 0.1 ? "1.0" : "1.1";
	const body = ["POST", "PUT"].includes(method) ? random.pick(["", "x", "x".repeat(1000)]) : "";
	const length = body === "" && random.next() < 0.5 ? "" : `Content-Length: ${body.length}\r\n`;
	const address = `E2b-Sandbox-Id: ${sandboxId}\r\nE2b-Sandbox-Port: ${PORT}\r\n`;
	return `${method} /x HTTP/${version}\r\nHost: localhost\r\n${address}${length}${random.pick(EXTRAS)}\r\n${body}`;
}

/** Sends a request as it stands and resolves to all that comes back until the connection ends. */
function exchange(port: number, text: string, hurried: boolean): Promise<string> {
	return new Promise((resolve, reject) => {
		const socket = connect(port, "127.0.0.1");
		let answer = "";
		const overdue = setTimeout(
			() => reject(new Error(`no end within 10 s of: ${text}\n→ ${answer.slice(0, 500)}`)),
			10_000,
		);
		socket.on("error", () => undefined);
		socket.once("close", () => {
			clearTimeout(overdue);
			resolve(answer);
		});
		socket.setEncoding("latin1").on("data", (chunk: string) => {
			answer += chunk;
			// Connections are kept by the gateway: this client has seen enough a moment after the first bytes.
			setTimeout(() => socket.destroy(), 15);
		});
		socket.write(text);
		if (hurried) setTimeout(() => socket.destroy(), 2);
	});
}

/** What a strict client takes for an answer: a status line and headers without control characters, or nothing at all. */
function assertIsHttp(answer: string): void {
	if (answer === "") return;
	const [head = ""] = answer.split("\r\n\r\n", 1);
	const [statusLine = "", ...headers] = head.split("\r\n");
	assert.match(statusLine, /^HTTP\/1\.1 [1-9]\d\d [\t\x20-\x7e\x80-\xff]*$/);
	for (const header of headers) assert.match(header, /^[!#$%&'*+.^_`|~0-9A-Za-z-]+: ?[\t\x20-\x7e\x80-\xff]*$/);
}

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** What the process holds on to, in the heap and beside it. */
function keptBytes(): number {
	collectGarbage();
	const { heapUsed, external } = process.memoryUsage();
	return heapUsed + external;
}

test(`${ANSWERS} answers of a hostile guest, seed ${SEED}: the server lives, and a neighbour is served`, async () => {
	await using platform = await TestPlatform.open();
	const attacker = await Sandbox.create({ ...platform.e2b, timeoutMs: 600_000 });
	const neighbour = await Sandbox.create({ ...platform.e2b, timeoutMs: 600_000 });
	await using _guest = await HostileGuest.listen(platform.engine.guest(attacker.sandboxId).address, PORT, SEED);
	const port = Number(new URL(platform.url).port);
	const random = new Random(SEED);
	const uncaught: unknown[] = [];
	const note = (error: unknown) => void uncaught.push(error);
	process.on("uncaughtException", note);
	let left = ANSWERS;
	let before = 0;
	const one = async () => {
		while (left-- > 0) {
			assertIsHttp(await exchange(port, request(random, attacker.sandboxId), random.next() < 0.05));
			if (left % 500 === 0) {
				const answer = await platform.sandbox(neighbour.sandboxId, APP_PORT, "/count", {
					signal: AbortSignal.timeout(5_000),
				});
				assert.equal(answer.status, 200);
			}
			if (left === Math.round(ANSWERS * 0.8)) before = keptBytes();
			assert.deepEqual(uncaught, []);
		}
	};
	try {
		await Promise.all(Array.from({ length: AT_ONCE }, one));
	} finally {
		process.off("uncaughtException", note);
	}
	const grewMiB = (keptBytes() - before) >> 20;
	assert.ok(grewMiB < 16, `grew by ${grewMiB} MiB over the last four fifths`);
	assert.equal(await attacker.kill(), true);
	assert.equal(platform.engine.sandboxes.has(attacker.sandboxId), false, "and it can be killed like any other");
});
