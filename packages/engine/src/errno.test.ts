import assert from "node:assert/strict";
import { test } from "node:test";
import { DormiceError } from "@dormice/protocol";
import { fromErrno } from "./errno.ts";

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
