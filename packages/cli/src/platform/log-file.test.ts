import assert from "node:assert/strict";
import { closeSync, mkdtempSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { boundLog, openLog } from "./log-file.ts";

test("a log that grew too long starts anew under its writer, and keeps one older part", () => {
	const directory = mkdtempSync(join(tmpdir(), "dormice-log-"));
	const path = join(directory, "log");
	const log = openLog(path);
	try {
		writeSync(log, "x".repeat(100));
		boundLog(path, 100);
		assert.equal(readFileSync(path, "utf8").length, 100);
		writeSync(log, "y");
		boundLog(path, 100);
		writeSync(log, "after\n");
		assert.equal(readFileSync(path, "utf8"), "after\n");
		assert.equal(readFileSync(`${path}.1`, "utf8").length, 101);
	} finally {
		closeSync(log);
		rmSync(directory, { recursive: true });
	}
});
