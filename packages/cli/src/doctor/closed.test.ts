import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { platformPaths } from "../platform/paths.ts";
import { closedCheck } from "./closed.ts";

const place = mkdtempSync(join(tmpdir(), "dormice-doctor-"));
after(() => rmSync(place, { recursive: true }));

const file = join(place, "swap");
const HEAD = "Filename\tType\tSize\tUsed\tPriority\n";
const rows: [name: string, mode: number, swaps: string, mended: string | undefined][] = [
	["there is none", 0o600, HEAD, undefined],
	["a partition", 0o600, `${HEAD}/dev/sda2 partition 1 0 -2\n`, undefined],
	["a file for root alone", 0o600, `${HEAD}${file} file 1 0 -2\n`, undefined],
	["a file that others may read", 0o644, `${HEAD}${file} file 1 0 -2\n`, `chmod 600 ${file}`],
];
for (const [name, mode, swaps, mended] of rows) {
	test(`guests' memory may be in swap: ${name}`, () => {
		writeFileSync(file, "");
		chmodSync(file, mode);
		writeFileSync(join(place, "swaps"), swaps);
		const check = closedCheck(platformPaths(join(place, "none")), undefined, join(place, "swaps"));
		assert.deepEqual([check.ok, check.remedy], [mended === undefined, mended]);
	});
}
