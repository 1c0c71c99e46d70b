import assert from "node:assert/strict";
import { test } from "node:test";
import { DormiceError } from "@dormice/protocol";
import { essence, failed } from "./command.ts";
import { fromErrno, ofFullPool } from "./no-space.ts";

const withCode = (code: string) => Object.assign(new Error(code), { code });
const ROWS: readonly [unknown, string | undefined][] = [
	[withCode("ENOSPC"), "disk_full"],
	[withCode("EDQUOT"), "disk_full"],
	[withCode("ENOENT"), undefined],
	[new DormiceError("state_conflict", "no"), "state_conflict"],
	["a string", undefined],
];

test("a full pool is told as one, and anything else stays what it was", () => {
	for (const [error, reason] of ROWS) {
		const told = fromErrno(error);
		if (reason === undefined) assert.equal(told, error);
		else assert.equal((told as DormiceError).reason, reason);
	}
});

test("what fails in a full pool fails for want of room, but for what the caller can mend", async () => {
	const panic = new DormiceError("command_failed", "nil pointer dereference");
	const open = new DormiceError("not_storable", "a deleted file is open");
	const [full, roomy] = [0, 1 << 30].map((freeBytes) => ({ space: async () => ({ totalBytes: 1 << 30, freeBytes }) }));
	assert.ok(full && roomy);
	assert.equal(((await ofFullPool(panic, full)) as DormiceError).reason, "disk_full");
	assert.equal(await ofFullPool(panic, roomy), panic);
	assert.equal(await ofFullPool(open, full), open);
});

test("a program that found no room is told as that, whatever it said before", () => {
	const notices = "I: automatically chosen format: directory\n".repeat(5);
	const said = essence(
		`${notices}E: cannot copy /etc/resolv.conf: No space left on device\nI: waiting\nE: failed to run`,
	);
	assert.equal(said, "E: cannot copy /etc/resolv.conf: No space left on device | E: failed to run");
	assert.equal(failed("mmdebstrap", "25", said).reason, "disk_full");
	assert.equal(failed("mmdebstrap", "25", essence(`${notices}E: Unable to fetch`)).message.includes("fetch"), true);
	assert.equal(essence("panic: oh\n\ngoroutine 1 [running]:\nmain.main(0x1)\n\t/a.go:1"), "panic: oh");
});
