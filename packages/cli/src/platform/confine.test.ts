import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { confined } from "./confine.ts";

const NOBODY = 65534;
const skip = process.getuid?.() === 0 ? false : "needs root, to make a mount namespace";

test("a confined process has no power and sees only what it was given", { skip }, () => {
	// Below a directory that is closed to it, as a clone in root's home is.
	const closed = mkdtempSync("/var/tmp/dormice-confine-");
	try {
		chmodSync(closed, 0o700);
		const [shown, own, hidden, emptyRoot] = ["shown", "own", "hidden", "root"].map((name) => join(closed, name));
		for (const path of [shown, own, hidden, emptyRoot]) mkdirSync(String(path), { mode: 0o777 });
		for (const path of [shown, own]) chmodSync(String(path), 0o777);
		writeFileSync(`${shown}/word`, "hello\n");
		const script = `cat ${shown}/word; echo new > ${own}/file && echo wrote
			(echo new > ${shown}/file) 2>&- || echo refused; ls ${hidden} /root /home 2>/dev/null || echo unseen
			id -u; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status | tr -d '\\n'`;
		const [program, ...args] = confined(["sh", "-c", script], {
			uid: NOBODY,
			gid: NOBODY,
			readOnly: [String(shown)],
			writable: [String(own)],
			emptyRoot: String(emptyRoot),
		});
		const output = execFileSync(String(program), args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
		assert.deepEqual(output.split("\n"), [
			"hello",
			"wrote",
			"refused",
			"unseen",
			String(NOBODY),
			"CapEff:\t0000000000000000CapBnd:\t0000000000000000NoNewPrivs:\t1",
		]);
	} finally {
		rmSync(closed, { recursive: true });
	}
});
