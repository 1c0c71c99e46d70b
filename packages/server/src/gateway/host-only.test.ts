import assert from "node:assert/strict";
import { test } from "node:test";
import { isHostOnly } from "./host-only.ts";

const REFUSED = [
	"/init",
	"/init/",
	"/init?x=1",
	"/init#x",
	"//init",
	"/./init",
	"/a/../init",
	"/a/%2e%2e/init",
	"/%69nit",
	"/%2569nit",
	"/%2finit",
	"/INIT",
	"\\init",
	"/init%20",
	"/init%00",
	"/init%3fx",
	"/init;x=1",
	"/..;/init",
	"init",
	"/freeze",
	"/dormice",
	"/dormice/sync",
	"/dormice/clock",
	"/x/..//dormice/./activity",
	`/%${"25".repeat(20)}69nit`,
	"/upgrade",
];
const ALLOWED = [
	"/",
	"/health",
	"/initial",
	"/files?path=/init",
	"/files/init",
	"/envs",
	"/process.Process/Start",
	"/%zz",
	"/100%",
];

for (const url of REFUSED) test(`refused: ${url}`, () => assert.equal(isHostOnly(url), true));
for (const url of ALLOWED) test(`allowed: ${url}`, () => assert.equal(isHostOnly(url), false));
