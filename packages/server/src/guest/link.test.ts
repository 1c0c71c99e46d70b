import assert from "node:assert/strict";
import { test } from "node:test";
import { Link } from "./link.ts";

test("a link closes whole whatever the end of one request does", async () => {
	const link = new Link({ address: "127.0.0.1", fresh: false });
	const warned = new Promise<Error>((resolve) => process.once("warning", resolve));
	const ended: string[] = [];
	link.hold(() => ended.push("first"));
	link.hold(() => {
		throw new TypeError("a mistake");
	});
	link.hold(() => ended.push("last"));
	link[Symbol.dispose]();
	assert.deepEqual(ended, ["first", "last"]);
	assert.deepEqual([link.busy, link.closed], [0, true]);
	assert.match(String((await warned).cause), /a mistake/);
});
