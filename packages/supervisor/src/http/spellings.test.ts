import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { json, TestGuest } from "../testing.ts";

/** What only the host may ask, and E2B's own names for such paths. */
const PATHS = [
	...["init", "dormice/sync", "dormice/clock", "dormice/activity", "dormice/hooks"],
	...["freeze", "unfreeze", "collapse", "fsfreeze", "fsthaw", "upgrade"],
];

/** How one might be written so that some parser takes it for the plain path. Add what you find. */
const PREFIXINGS = [
	...["/", "//", "///", "////", "/./", "/.//", "/x/../", "/x/..//", "/%2e/", "/x/%2e%2e/", "/..;/", "/;/", "/.;/"],
	...["//x/", "///x/", "/\\x/", "/\\", "\\", "\\\\", "/\\\\x/", "//x:1/", "//x@y/", "//x:y@z:1/", "//[::1]/", "/%5c"],
	...["//10.0.0.1:49984/", "//localhost/", "/%2f", "/%2f%2f", "/%252f", "/\t", "/%09", "/%00", "/%20"],
	...[
		"http://x/",
		"http://10.0.0.1/",
		"http:/",
		"http:",
		"https://x//",
		"HTTP://x/",
		"http://x@y/",
		"file:///",
		"//x/%2e/",
	],
	...["http:\\\\x\\", "ws://x/", "x:", "x:/", "x://y/", "?/", "#/", "/?/", "/#/", "*/", "/@", "@/"],
].map((before) => (path: string) => before + path);

const REWRITINGS: readonly ((path: string) => string)[] = [
	(path) => `/${path}/`,
	(path) => `/${path}?x=1`,
	(path) => `/${path}#x`,
	(path) => `/${path}%20`,
	(path) => `/${path}%00`,
	(path) => `/${path}%3fx`,
	(path) => `/${path};x=1`,
	(path) => `/${path}/.`,
	(path) => `/${path}/x/..`,
	(path) => `/${path.toUpperCase()}`,
	(path) => `/${path.replace("/", "//")}`,
	(path) => `/${path.replace("/", "\\")}`,
	(path) => `/${path.replace("/", "%2f")}`,
	(path) => `/${encodeAll(path)}`,
	(path) => `/${encodeAll(encodeAll(path))}`,
	(path) => path,
];

const SPELLINGS = [...PREFIXINGS, ...REWRITINGS];

function encodeAll(path: string): string {
	return [...path].map((char) => `%${char.charCodeAt(0).toString(16).padStart(2, "0")}`).join("");
}

let guest: TestGuest;
before(async () => {
	guest = await TestGuest.start();
});
after(() => guest[Symbol.asyncDispose]());

/** The status of a request whose target is sent as it stands; undefined for one that was cut off. */
function statusOf(method: string, target: string): Promise<number | undefined> {
	return new Promise((resolve) => {
		const socket = connect(Number(new URL(guest.url).port), "127.0.0.1");
		const body = JSON.stringify({
			accessToken: "taken over",
			envVars: { OWNER: "attacker" },
			hook: { name: "pre-sleep" },
		});
		const head = `Host: x\r\nConnection: close\r\nContent-Length: ${body.length}`;
		let text = "";
		socket.on("data", (bytes) => {
			text += bytes;
		});
		socket.on("error", () => undefined);
		socket.once("close", () => resolve(Number(/^HTTP\/1.1 (\d+)/.exec(text)?.[1]) || undefined));
		socket.end(`${method} ${target} HTTP/1.1\r\n${head}\r\n\r\n${body}`);
	});
}

for (const path of PATHS) {
	test(`${path} is not to be had where clients ask, in ${SPELLINGS.length} spellings`, async () => {
		const before = await json(guest.fetch("/envs"));
		for (const spell of SPELLINGS) {
			for (const method of ["GET", "POST"]) {
				const status = await statusOf(method, spell(path));
				assert.ok(status === undefined || status === 404 || status === 400, `${method} ${spell(path)}: ${status}`);
			}
		}
		assert.deepEqual(await json(guest.fetch("/envs")), before, "and the sandbox is as it was");
	});
}
