import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { exposed } from "./closed.ts";

const place = mkdtempSync(join(tmpdir(), "dormice-closed-"));
after(() => rmSync(place, { recursive: true }));

/** [path, mode, whether it is a directory, what it should be] */
const ROWS: [path: string, mode: number, kind: "dir" | "file", closed: number][] = [
	["data", 0o755, "dir", 0o711],
	["data/pool.img", 0o644, "file", 0o600],
	["data/pool", 0o755, "dir", 0o700],
	["data/config.json", 0o644, "file", 0o644],
	["data/variables.json", 0o600, "file", 0o600],
	["data/whatever-comes-next", 0o777, "dir", 0o700],
	["run", 0o777, "dir", 0o711],
	["run/engine.json", 0o644, "file", 0o644],
	["run/machines", 0o755, "dir", 0o700],
	["run/keeper.lock", 0o644, "file", 0o600],
	["own", 0o755, "dir", 0o755],
	["own/generations", 0o755, "dir", 0o700],
	["own/id", 0o644, "file", 0o600],
	["own/somebody-else's", 0o755, "dir", 0o755],
];
const places = { data: join(place, "data"), run: join(place, "run"), pool: join(place, "own") };

const skip = process.getuid?.() === 0 ? false : "needs root, to make files of root's group";

test("what other users could open is found, with the mode that ends it", { skip }, () => {
	for (const [path, mode, kind] of ROWS) {
		const at = join(place, path);
		if (kind === "dir") mkdirSync(at);
		else writeFileSync(at, "");
		chmodSync(at, mode);
	}
	symlinkSync("/", join(place, "data/run"));
	const expected = ROWS.filter(([, mode, , closed]) => mode !== closed);
	assert.deepEqual(
		exposed(places)
			.map(({ path, mode, closedMode }) => [path, mode, closedMode])
			.sort(),
		expected.map(([path, mode, , closed]) => [join(place, path), mode, closed]).sort(),
	);
	for (const { path, closedMode } of exposed(places)) chmodSync(path, closedMode);
	for (const [path, , , closed] of ROWS) assert.equal(statSync(join(place, path)).mode & 0o777, closed, path);
	assert.deepEqual(exposed(places), []);
});

test("a group that was given something keeps it", { skip }, () => {
	const logs = join(place, "data/logs");
	mkdirSync(logs);
	chownSync(logs, 0, 12_345);
	chmodSync(logs, 0o2755);
	assert.deepEqual(exposed(places), [{ path: logs, mode: 0o2755, closedMode: 0o2750 }]);
});

test("a platform that is not there yet exposes nothing", () => {
	assert.deepEqual(exposed({ data: join(place, "none"), run: join(place, "none") }), []);
});
