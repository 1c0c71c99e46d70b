import assert from "node:assert/strict";
import { test } from "node:test";
import { routeOf } from "./route.ts";

const ID = "iabcdefghij0123456789";
const to = (port: number) => ({ to: "sandbox", sandboxId: ID, port });
const api = { to: "api" };
const nobody = (why: string) => ({ to: "nobody", why });

/** [host, sandbox id header, port header, route] with the domain `example.org`. */
const ROWS: [string, string | undefined, string | undefined, object][] = [
	["127.0.0.1:3999", undefined, undefined, api],
	["127.0.0.1:3999", ID, "8080", to(8080)],
	["localhost", ID, "49983", to(49983)],
	["[::1]:3999", ID, "1", to(1)],
	["sandbox.example.org", ID, "80", to(80)],
	["example.org:3999", ID, "80", to(80)],
	["LOCALHOST:1", `${ID}-6532622b`, "80", to(80)],
	// On all other hosts the headers mean nothing.
	["api.example.org", ID, "80", api],
	["other.org", ID, "80", api],
	[`3000-${ID}.example.org`, "iother00000000000000x", "80", to(3000)],
	[`3000-${ID}.example.org:3999`, undefined, undefined, to(3000)],
	[`3000-${ID}-6532622b.example.org`, undefined, undefined, to(3000)],
	[`3000-${ID}.anywhere.else`, undefined, undefined, to(3000)],
	[`3000-${ID.toUpperCase()}.example.org`, undefined, undefined, to(3000)],
	["1-2.somebodys.net", undefined, undefined, api],
	["", undefined, undefined, api],
	// Bad input.
	["localhost", ID, undefined, nobody("Missing header E2b-Sandbox-Port")],
	["localhost", "../etc", "80", nobody("Invalid sandbox ID")],
	["localhost", "", "80", nobody("Invalid sandbox ID")],
	["localhost", ID, "0", nobody("Invalid sandbox port")],
	["localhost", ID, "65536", nobody("Invalid sandbox port")],
	...["80 ", " 80", "+80", "080", "0x50", "8e1", "80.0", "80, 80", "８０", "\u00a080", ""].map(
		(port): (typeof ROWS)[number] => ["localhost", ID, port, nobody("Invalid sandbox port")],
	),
	[`00080-${ID}.example.org`, undefined, undefined, nobody("Invalid sandbox port")],
	[`99999-${ID}.example.org`, undefined, undefined, nobody("Invalid sandbox port")],
	["80-a_b.example.org", undefined, undefined, nobody("Invalid sandbox ID")],
];

for (const [host, sandboxId, sandboxPort, route] of ROWS) {
	test(`${host} ${sandboxId ?? "-"} ${sandboxPort ?? "-"}`, () => {
		assert.deepEqual(routeOf({ host, sandboxId, sandboxPort, url: "/" }, "example.org"), route);
	});
}

test("a signed link without an id is a file's, and only on shared hosts", () => {
	const url = "/files?path=a&signature=v1_x";
	const route = (host: string, url: string) =>
		routeOf({ host, sandboxId: undefined, sandboxPort: undefined, url }, "example.org");
	assert.deepEqual(route("127.0.0.1", url), { to: "signed_file" });
	assert.deepEqual(route("127.0.0.1", "/files?path=a"), api);
	assert.deepEqual(route("api.example.org", url), api);
});
