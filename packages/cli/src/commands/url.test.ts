import assert from "node:assert/strict";
import { test } from "node:test";
import { addressOf } from "./url.ts";

for (const [domain, platform, url] of [
	["localhost:3999", "http://127.0.0.1:3999", "http://3000-i1.localhost:3999/"],
	["boxes.example", "http://127.0.0.1:3999", "http://3000-i1.boxes.example:3999/"],
	["boxes.example", "https://api.example", "https://3000-i1.boxes.example/"],
	["boxes.example:8443", "https://api.example", "https://3000-i1.boxes.example:8443/"],
	[undefined, "http://10.0.0.1:3999", "http://3000-i1.localhost:3999/"],
] as const) {
	test(`port 3000 of a sandbox below ${domain}, of a platform at ${platform}`, () => {
		assert.equal(addressOf({ id: "i1", port: 3000, domain, platform }), url);
	});
}
