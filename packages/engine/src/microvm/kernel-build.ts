import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { DormiceError } from "@dormice/protocol";
import { command } from "../command.ts";
import { writeWhole } from "../whole-file.ts";
import { makeImage } from "./images.ts";
import { type Entry, initramfs } from "./initramfs.ts";
import { KERNEL_FILES } from "./kernel.ts";
import { BOOT_MODULES, ModuleIndex, USEFUL_MODULES } from "./modules.ts";

/** The init of a microVM, compiled on this machine. */
const INIT = join(import.meta.dirname, "../../microvm-init");
/** Debian's kernel for virtual machines: this package only names the current one. */
const DEBIAN_KERNEL = "linux-image-cloud-amd64";
const DOWNLOAD_WITHIN_MS = 10 * 60_000;

export type KernelBuild = {
	/** The data directory. */
	readonly data: string;
	/** A kernel as its unpacked package has it (`boot/vmlinuz-RELEASE`, `lib/modules/RELEASE`); undefined is Debian's. */
	readonly from: string | undefined;
	readonly onLine: (line: string) => void;
};

/** Makes the kernel that microVMs boot from now on; resolves to its version. One that is there already is only named again. */
export async function buildKernel({ data, from, onLine }: KernelBuild): Promise<string> {
	const dir = join(data, "kernel");
	await mkdir(dir, { recursive: true, mode: 0o700 });
	const work = await mkdtemp(join(dir, ".building-"));
	try {
		const source = from ?? (await fetchDebianKernel(work, onLine));
		const release = await onlyEntry(join(source, "lib/modules"));
		// A copy: what says which module needs which is made beside them.
		const tree = join(work, "tree");
		const modules = join(tree, "lib/modules", release);
		await mkdir(join(tree, "lib/modules"), { recursive: true });
		await command("cp", ["-a", "--reflink=auto", join(source, "lib/modules", release), modules]);
		await command("depmod", ["-b", tree, release]);

		const made = join(work, "made");
		await mkdir(made, { mode: 0o755 });
		await copyFile(join(source, "boot", `vmlinuz-${release}`), join(made, KERNEL_FILES.vmlinuz));
		onLine("building the initramfs");
		await writeFile(join(made, KERNEL_FILES.initramfs), await makeInitramfs(work, modules));
		const version = `${release}-${await fingerprint(made)}`;
		const final = join(dir, version);
		if (!existsSync(final)) {
			onLine(`packing the modules of ${release}`);
			await makeImage(modules, join(made, KERNEL_FILES.modules));
			await rename(made, final);
		}
		await command("sync", ["-f", final]);
		await writeWhole(join(dir, "current"), `${version}\n`);
		return version;
	} finally {
		await rm(work, { recursive: true, force: true });
	}
}

/** Downloads the package and unpacks it, without installing it; resolves to where. */
async function fetchDebianKernel(work: string, onLine: (line: string) => void): Promise<string> {
	const depends = await command("apt-cache", ["depends", DEBIAN_KERNEL]);
	const name = /Depends: (linux-image-[\w.+~-]+)/.exec(depends)?.[1];
	if (name === undefined) {
		const advice = "Name a kernel of yours with DORMICE_KERNEL.";
		throw new DormiceError("not_set_up", `apt knows no ${DEBIAN_KERNEL}. ${advice}`);
	}
	onLine(`downloading ${name}`);
	const inWork = ["-C", work, "apt-get", "download", "-o", "APT::Sandbox::User=root", name];
	await command("env", inWork, { timeoutMs: DOWNLOAD_WITHIN_MS });
	const archive = (await readdir(work)).find((file) => file.endsWith(".deb"));
	if (archive === undefined) throw new DormiceError("command_failed", `apt-get download ${name} brought no package.`);
	const unpacked = join(work, "unpacked");
	await command("dpkg-deb", ["-x", join(work, archive), unpacked], { timeoutMs: 120_000 });
	return unpacked;
}

async function onlyEntry(dir: string): Promise<string> {
	const [name, ...others] = await readdir(dir).catch(() => []);
	if (name !== undefined && others.length === 0) return name;
	const found = name === undefined ? "none" : [name, ...others].join(", ");
	throw new DormiceError("invalid_argument", `${dir} must hold the modules of one kernel; there are: ${found}.`);
}

async function makeInitramfs(work: string, modules: string): Promise<Buffer> {
	const index = await ModuleIndex.open(modules);
	const names = [...USEFUL_MODULES.filter((name) => index.has(name)), ...BOOT_MODULES];
	const files = index.inOrder(names).map((file) => ({ file, name: basename(file).replace(/\.ko.*$/, ".ko") }));
	const init = join(work, "init");
	const sources = (await readdir(INIT)).filter((name) => name.endsWith(".c")).sort();
	const flags = ["-std=gnu11", "-O2", "-static", "-s", "-Wall", "-Wextra", "-Werror", "-Wl,--build-id=none"];
	await command("cc", [...flags, "-o", init, ...sources.map((name) => join(INIT, name))]);
	const entries: Entry[] = [
		{ name: "init", mode: 0o755, content: await readFile(init) },
		{ name: "modules", mode: 0o755 },
		{ name: "modules/order", mode: 0o644, content: Buffer.from(files.map(({ name }) => `${name}\n`).join("")) },
	];
	for (const { file, name } of files)
		entries.push({ name: `modules/${name}`, mode: 0o644, content: await index.read(file) });
	return initramfs(entries);
}

/** Twelve hex digits over the kernel and the initramfs, which has modules of its release only. */
async function fingerprint(dir: string): Promise<string> {
	const hash = createHash("sha256");
	for (const name of [KERNEL_FILES.vmlinuz, KERNEL_FILES.initramfs]) hash.update(await readFile(join(dir, name)));
	return hash.digest("hex").slice(0, 12);
}
