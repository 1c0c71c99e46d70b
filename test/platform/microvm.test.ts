import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Sandbox } from "e2b";
import { FullPool } from "../torture/full-pool.ts";
import { TestPlatform } from "./platform.ts";
import { assertNoSpin } from "./quiet.ts";

let platform: TestPlatform;
let sandbox: Sandbox;

/** Emulated, everything takes its time. */
const SLOW = { timeoutMs: 300_000, requestTimeoutMs: 600_000 };

before(async () => {
	platform = await TestPlatform.up({ DORMICE_ALLOW_EMULATION: "1", DORMICE_SPARES: "0" });
	// Its first boot takes longer than a create may.
	const prepare = ["template", "prepare", "base", "--isolation", "microvm", "--data", platform.data];
	execFileSync(join(import.meta.dirname, "../../dormice"), prepare);
	sandbox = await Sandbox.create("base", {
		...platform.client,
		...SLOW,
		timeoutMs: 1_800_000,
		metadata: { "dormice.isolation": "microvm" },
	});
});

after(async () => {
	await sandbox?.kill();
	await platform[Symbol.asyncDispose]();
});

async function said(command: string, user = "root"): Promise<string> {
	const { stdout, stderr } = await sandbox.commands.run(command, { ...SLOW, user });
	assert.equal(stderr, "", command);
	return stdout.trim();
}

test("its kernel is its own: set-uid programs, namespaces, overlays, modules", async () => {
	assert.match(await said("uname -r"), /^[5-9]\.\d+|^\d\d\./);
	assert.equal(await said("hostname"), sandbox.sandboxId);
	assert.equal(await said("sudo id -un; sudo -u nobody id -un", "user"), "root\nnobody");
	assert.equal(await said("unshare --user --map-root-user id -u", "user"), "0");
	const alone = "unshare --mount --pid --net --fork --mount-proc sh -c 'echo $$; ip -brief link'";
	assert.match(await said(alone), /^1\nlo +DOWN[^\n]*$/);
	const overlay = "mount -t overlay x -o lowerdir=/tmp/l,upperdir=/tmp/u,workdir=/tmp/w /tmp/m && cat /tmp/m/a";
	assert.equal(await said(`cd /tmp && mkdir l u w m && echo below > l/a && ${overlay}`), "below");
	assert.match(await said("modprobe dummy && ip link add d0 type dummy && ip -brief link show d0"), /^d0 /);
});

test("a firewall and a container engine of Debian's work in it", { timeout: 900_000 }, async () => {
	await sandbox.files.write("/root/packages.tar", new Blob([unpackedPackages("nftables", "podman", "crun")]), {
		user: "root",
		...SLOW,
	});
	await said("tar -C / --no-same-owner --keep-directory-symlink -xf /root/packages.tar");
	const rule = "nft add table inet t && nft add chain inet t c '{ type filter hook input priority 0; }'";
	assert.match(await said(`${rule} && nft list ruleset`), /type filter hook input priority filter/);
	const program =
		'#include <unistd.h>\n#include <stdio.h>\nint main() { printf("%d of %s", getpid(), "a container"); }';
	await sandbox.files.write("/root/image/main.c", program, { user: "root", ...SLOW });
	await said("cd /root/image && gcc -static -o hello main.c && tar -cf ../image.tar hello");
	await said("podman import --quiet /root/image.tar localhost/image");
	assert.equal(await said("podman info --format '{{.Store.GraphDriverName}}'"), "overlay");
	assert.equal(await said("podman run --rm --network=none --memory=64m localhost/image /hello"), "1 of a container");
});

test("stands still while the pool has no room for what it writes, and goes on with all of it and the right time", async () => {
	let written: string | undefined;
	const write = "head -c 16000000 /dev/urandom > /root/much && sync /root/much && sha256sum < /root/much";
	let writing: Promise<void>;
	{
		using _ = new FullPool(platform.data);
		writing = said(write).then((sum) => {
			written = sum;
		});
		await sleep(15_000);
		assert.equal(written, undefined, "it waits for room");
	}
	await writing;
	assert.equal(await said("echo 3 > /proc/sys/vm/drop_caches; sha256sum < /root/much; rm /root/much"), written);
	await sleep(1_000);
	const offMs = Number(await said("date +%s%3N")) - Date.now();
	assert.ok(Math.abs(offMs) < 3_000, `its clock is off by ${offMs} ms`);
});

test("sleeps and wakes with its memory, its files and the right time", { timeout: 900_000 }, async () => {
	const server = `let n = 0; require("http").createServer((_, r) => r.end(String(++n))).listen(3000)`;
	const command = await sandbox.commands.run(`node -e '${server}'`, { background: true, ...SLOW, timeoutMs: 0 });
	for (let i = 0; i < 600 && (await platform.request(sandbox.sandboxId, 3000)).status !== 200; i++) await sleep(100);
	const count = async () => Number(await (await platform.request(sandbox.sandboxId, 3000)).text());
	const before = await count();
	await said("echo kept > /root/slept; echo memory > /tmp/slept");
	await command.disconnect();
	for (let i = 1; i <= 3; i++) {
		assert.ok(await Sandbox.pause(sandbox.sandboxId, { ...platform.client, ...SLOW }));
		await sleep(1_500);
		await Sandbox.connect(sandbox.sandboxId, { ...platform.client, ...SLOW, timeoutMs: 1_800_000 });
		assert.equal(await count(), before + i);
	}
	assert.equal(await said("cat /root/slept /tmp/slept"), "kept\nmemory");
	await knowsTheTime();
	await assertNoSpin(sandbox, "after three wakes");
});

test("a fork has its memory, and is another being", { timeout: 900_000 }, async () => {
	await said("echo shared > /tmp/shared");
	const who = "hostname; cat /etc/machine-id; od -An -tx8 -N16 /dev/urandom; cat /tmp/shared";
	const [{ sandbox: made }] = await native<[{ sandbox: { sandboxID: string; isolation: string } }]>("fork");
	assert.equal(made.isolation, "microvm");
	const fork = await Sandbox.connect(made.sandboxID, { ...platform.client, ...SLOW, timeoutMs: 1_800_000 });
	try {
		const here = (await said(who)).split("\n");
		const { stdout } = await fork.commands.run(who, { ...SLOW, user: "root" });
		const there = stdout.trim().split("\n");
		assert.equal(there[0], made.sandboxID);
		assert.equal(there[3], "shared");
		await assertNoSpin(fork, "a fork");
		for (const i of [0, 1, 2]) assert.notEqual(there[i], here[i]);
	} finally {
		await fork.kill();
	}
});

test("goes back to a checkpoint, with the memory and files of then", { timeout: 900_000 }, async () => {
	await said("echo then > /tmp/went && echo then > /root/went");
	const { generationID } = await native<{ generationID: string }>("checkpoints");
	await said("echo later > /tmp/went; rm /root/went; echo later > /root/since");
	await native("rollback", { generationID });
	assert.equal(
		await said("cat /tmp/went /root/went; ls /root/since 2>&1 || true"),
		"then\nthen\nls: cannot access '/root/since': No such file or directory",
	);
	await knowsTheTime();
});

test("its own reboot ends in a clean restart", { timeout: 900_000 }, async () => {
	const bootId = "cat /proc/sys/kernel/random/boot_id";
	const before = await said(bootId);
	await said("echo kept > /root/kept");
	// Whoever asks for it is cut off by it.
	await sandbox.commands.run("reboot", { ...SLOW, user: "root" }).catch(() => undefined);
	for (const deadline = Date.now() + 600_000; ; await sleep(1_000)) {
		const after = await said(bootId).catch(() => before);
		if (after !== before) break;
		assert.ok(Date.now() < deadline, "it is not back");
	}
	assert.equal(await said("cat /root/kept; hostname"), `kept\n${sandbox.sandboxId}`);
});

/** It is told the time when it goes on, and again when that took long to reach it. */
async function knowsTheTime(): Promise<void> {
	const [asked, told] = [Date.now(), Number(await said("date +%s%3N"))];
	assert.ok(told >= asked - 250 && told <= Date.now() + 100, `it is ${told} there, and was ${asked} here`);
}

/** Posts to the sandbox's own API, which the published client does not know. */
async function native<T>(what: string, body: object = {}): Promise<T> {
	const { apiUrl, apiKey } = platform.client;
	const response = await fetch(`${apiUrl}/sandboxes/${sandbox.sandboxId}/${what}`, {
		method: "POST",
		headers: { "X-API-KEY": apiKey, "content-type": "application/json" },
		body: JSON.stringify(body),
	});
	assert.ok(response.ok, `${what}: ${response.status}`);
	return (await response.json()) as T;
}

/** These packages and what they need that is not in `base`, unpacked, as one archive: to install them would take a package manager's time. */
function unpackedPackages(...names: string[]): Buffer {
	const dir = mkdtempSync(join(tmpdir(), "dormice-packages-"));
	try {
		const [status = ""] = globSync(join(platform.data, "pool/rootfs/base-*/var/lib/dpkg/status"));
		const resolve = ["-o", `Dir::State::status=${status}`, "-o", "Debug::NoLocking=1"];
		const plan = execFileSync("apt-get", [...resolve, "install", "--no-install-recommends", "-s", ...names], {
			encoding: "utf8",
		});
		const needed = [...plan.matchAll(/^Inst (\S+)/gm)].map((match) => match[1] ?? "");
		execFileSync("apt-get", ["-o", "APT::Sandbox::User=root", "download", "-qq", ...needed], { cwd: dir });
		const root = join(dir, "root");
		mkdirSync(root);
		for (const archive of globSync(join(dir, "*.deb"))) execFileSync("dpkg-deb", ["-x", archive, root]);
		const left = ["./usr/share/doc", "./usr/share/man", "./usr/lib/cni", "./usr/share/locale"];
		const tar = join(dir, "packages.tar");
		execFileSync("tar", ["-C", root, ...left.map((path) => `--exclude=${path}`), "-cf", tar, "."]);
		return readFileSync(tar);
	} finally {
		rmSync(dir, { recursive: true });
	}
}
