import assert from "node:assert/strict";
import { test } from "node:test";
import { DormiceError } from "@dormice/protocol";
import type { Native } from "../native.ts";
import { Disks } from "./disks.ts";
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
