import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { compileSpawner, until } from "../testing.ts";

const PASSWD = `root:x:0:0::/root:/bin/sh
listed:x:4001:4001::/:/bin/sh
own:x:4002:4027::/:/bin/sh
other:x:4003:4003::/:/bin/sh
broken:x::4027::/:/bin/sh
`;
const GROUP = "root:x:0:\nsudoers:x:4028:other\nsudo:x:4027:lister,listed\nlisted:x:4001:other\n";

let directory: string;
let namespaces: ChildProcess;
let insider: string;

/** Where set-uid bits do not count and the accounts are the test's: what the spawner stands in for `sudo` in. */
before(async () => {
	directory = mkdtempSync(join(tmpdir(), "dormice-sudo-"));
	chmodSync(directory, 0o755);
	symlinkSync(compileSpawner(directory), join(directory, "sudo"));
	writeFileSync(join(directory, "passwd"), PASSWD);
	writeFileSync(join(directory, "group"), GROUP);
	const script = `mount -t tmpfs -o mode=755 tmpfs /run && mount --bind "$0/passwd" /etc/passwd &&
		mount --bind "$0/group" /etc/group && exec setpriv --no-new-privs "$0/spawner" sleep 600`;
	const isolated = ["--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc"];
	namespaces = spawn("unshare", [...isolated, "sh", "-c", script, directory], { stdio: "inherit" });
	const children = `/proc/${namespaces.pid}/task/${namespaces.pid}/children`;
	await until("the spawner", () => {
		insider = readFileSync(children, "utf8").trim();
		return insider !== "" && existsSync(`/proc/${insider}/root/run/dormice/elevate.sock`);
	});
});

after(async () => {
	namespaces.kill("SIGKILL");
	await once(namespaces, "exit");
	rmSync(directory, { recursive: true });
});

const MAY = { said: "0", refused: "" };
const MAY_NOT = { said: "", refused: "sudo: you are not in the group sudo" };

for (const [who, identity, expected] of [
	["root", ["--reuid=0", "--clear-groups"], MAY],
	["who is listed in the group", ["--reuid=4001", "--regid=4001", "--init-groups"], MAY],
	["whose own group it is", ["--reuid=4002", "--regid=4027", "--clear-groups"], MAY],
	["who is in no such group", ["--reuid=4003", "--regid=4003", "--init-groups"], MAY_NOT],
	["who has no account", ["--reuid=4009", "--regid=4009", "--clear-groups"], MAY_NOT],
] as const) {
	test(`${who}: sudo ${expected === MAY ? "makes root" : "refuses"}`, async () => {
		const command = ["setpriv", ...identity, join(directory, "sudo"), "id", "-u"];
		const run = promisify(execFile)("nsenter", ["-t", insider, "-m", "-p", "--", ...command]);
		const { stdout, stderr } = await run.catch((error) => error);
		assert.deepEqual({ said: stdout.trim(), refused: stderr.trim() }, expected);
	});
}
