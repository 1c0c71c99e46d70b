import assert from "node:assert/strict";
import { test } from "node:test";
import { DormiceError } from "@dormice/protocol";
import type { Native } from "../native.ts";
import { corrections, Disks } from "./disks.ts";
import type { Pool } from "./pool.ts";

const GAVE_UP = "sync /disk: Read-only file system";
const ROWS = [
	{ sync: undefined, withMemory: true, reason: undefined },
	{ sync: GAVE_UP, withMemory: true, reason: "not_storable" },
	{ sync: GAVE_UP, withMemory: false, reason: undefined },
	{ sync: "sync /disk: Input/output error", withMemory: false, reason: "command_failed" },
] as const;

for (const { sync, withMemory, reason } of ROWS) {
	test(`a disk is stored ${withMemory ? "with" : "without"} memory after ${sync ?? "a good sync"}: ${reason ?? "yes"}`, async () => {
		let stored = 0;
		const pool = {
			dir: "/pool",
			snapshot: async () => void stored++,
		} as unknown as Pool;
		const call = async () => {
			if (sync !== undefined) throw new DormiceError("command_failed", sync);
		};
		const storing = new Disks(pool, { call } as unknown as Native).store("i1", "/disk", "/to", { withMemory });
		if (reason === undefined) await storing;
		else await assert.rejects(storing, { reason });
		assert.equal(stored, reason === undefined ? 1 : 0);
	});
}

const CAREFUL = `bash: Invalid inode number for '.' in directory inode 32769.

bash: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY.
	(i.e., without -a or -p options)
e2fsck 1.47.0 (5-Feb-2023)
Pass 1: Checking inodes, blocks, and sizes
Pass 2: Checking directory structure
Invalid inode number for '.' in directory inode 32769.
Fix? yes

Pass 3: Checking directory connectivity

bash: ***** FILE SYSTEM WAS MODIFIED *****
bash: 15/65536 files (0.0% non-contiguous), 57448/262144 blocks
`;
for (const [said, told] of [
	["", "Its error flag was cleared."],
	["/dev/fd/3: 15/65536 files (0.0% non-contiguous), 57448/262144 blocks\n", "Its error flag was cleared."],
	[CAREFUL, "Invalid inode number for '.' in directory inode 32769. Fix? yes"],
	["a".repeat(5_000), "a".repeat(1_000)],
] as const) {
	test(`what a repair corrected, of ${said.length} characters: ${told.slice(0, 40)}`, () => {
		assert.equal(corrections(said), told);
	});
}
