import assert from "node:assert/strict";
import { test } from "node:test";
import { initramfs } from "./initramfs.ts";

/** Each record's name, mode in octal and content, read as the kernel's init/initramfs.c does. */
function read(archive: Buffer): [name: string, mode: string, content: string][] {
	const found: [string, string, string][] = [];
	for (let at = 0; at < archive.length; ) {
		assert.equal(archive.toString("latin1", at, at + 6), "070701");
		const field = (n: number) => Number.parseInt(archive.toString("latin1", at + 6 + n * 8, at + 14 + n * 8), 16);
		const nameEnd = at + 110 + field(11);
		const name = archive.toString("latin1", at + 110, nameEnd - 1);
		const contentAt = Math.ceil(nameEnd / 4) * 4;
		found.push([name, field(1).toString(8), archive.toString("latin1", contentAt, contentAt + field(6))]);
		at = Math.ceil((contentAt + field(6)) / 4) * 4;
	}
	return found;
}

test("an initramfs holds what was put in, in order, and a trailer", () => {
	const archive = initramfs([
		{ name: "init", mode: 0o755, content: Buffer.from("program") },
		{ name: "modules", mode: 0o755 },
		{ name: "modules/order", mode: 0o644, content: Buffer.from("") },
	]);
	assert.deepEqual(read(archive), [
		["init", "100755", "program"],
		["modules", "40755", ""],
		["modules/order", "100644", ""],
		["TRAILER!!!", "0", ""],
	]);
});

test("the same entries give the same bytes", () => {
	const entries = [{ name: "init", mode: 0o755, content: Buffer.from("x") }];
	assert.deepEqual(initramfs(entries), initramfs(entries));
});
