import { randomUUID } from "node:crypto";
import { lstat, mkdir, readdir, readFile, rm } from "node:fs/promises";
import { posix } from "node:path";
import { DormiceError } from "@dormice/protocol";
import { errnoCode } from "../errno.ts";
import { log } from "../log.ts";

const NAME = ".dormice-staging";
const STAGED = /(^|\/)\.dormice-staging(-[0-9a-f]+)?(\/|$)/;

/** What a directory says that takes no files, such as `/proc`, `/sys` or one that is immutable: we are root. */
const TAKES_NO_FILES = new Set(["ENOENT", "EPERM", "EACCES"]);

/** Whether a path lies where files are staged: watchers are told nothing of it. */
export function isStaged(path: string): boolean {
	return STAGED.test(path);
}

/**
 * Where files are made before they take their place: on the same mount, so that a rename leads there, and in a directory
 * of our own, so that programs that watch the place see only the finished file.
 */
export class Staging {
	readonly #main: string;

	/** `directory`: where the sandbox's own disk has it. */
	constructor(directory: string) {
		this.#main = posix.join(directory, NAME);
	}

	/** Clears what an earlier supervisor left, and makes what is often needed, before anybody watches. */
	async prepare(temporaries: readonly string[]): Promise<void> {
		const mounts = await mountPoints();
		const places = [
			this.#main,
			...temporaries.filter((path) => mounts.includes(path)).map((path) => posix.join(path, NAME)),
		];
		for (const place of places) {
			try {
				await make(place);
				for (const name of await readdir(place)) await rm(posix.join(place, name), { recursive: true, force: true });
			} catch (error) {
				log("warn", "a staging directory cannot be prepared", { place, error: String(error) });
			}
		}
	}

	/** A free path from which a rename leads into `directory`, which is a real path and there. */
	async path(directory: string): Promise<string> {
		const mounts = await mountPoints();
		const mount = mountOf(directory, mounts);
		const place = mount === mountOf(this.#main, mounts) ? this.#main : posix.join(mount, NAME);
		const unique = randomUUID().slice(0, 8);
		try {
			if (await make(place)) return posix.join(place, unique);
		} catch (error) {
			if (!TAKES_NO_FILES.has(errnoCode(error) ?? "")) throw error;
			const message = `path '${directory}' is a directory that takes no files`;
			throw new DormiceError("invalid_argument", message, { cause: error });
		}
		// Somebody else's is there.
		return posix.join(directory, `${NAME}-${unique}`);
	}
}

/** False when what is there is not ours: others could put links into it. */
async function make(place: string): Promise<boolean> {
	try {
		// Not closed to other users: their `find` and `grep -r` would complain. The files in it are.
		await mkdir(place, 0o755);
		return true;
	} catch (error) {
		if (errnoCode(error) === "ENOENT" && posix.dirname(place) !== "/") {
			await mkdir(posix.dirname(place), { recursive: true, mode: 0o755 });
			await mkdir(place, 0o755);
			return true;
		}
		if (errnoCode(error) !== "EEXIST") throw error;
		const info = await lstat(place);
		return info.isDirectory() && info.uid === process.getuid?.() && (info.mode & 0o022) === 0;
	}
}

async function mountPoints(): Promise<string[]> {
	const lines = (await readFile("/proc/self/mountinfo", "utf8")).trimEnd().split("\n");
	return lines.map((line) => unescaped(line.split(" ")[4] ?? "/"));
}

/** The kernel writes spaces and the like of a mount point in octal. */
function unescaped(text: string): string {
	if (!text.includes("\\")) return text;
	const bytes = text.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)));
	return Buffer.from(bytes, "latin1").toString("utf8");
}

/** The mount that a real path is on. */
export function mountOf(path: string, mounts: readonly string[]): string {
	const holds = (mount: string) => mount === "/" || path === mount || path.startsWith(`${mount}/`);
	return mounts.filter(holds).reduce((longest, mount) => (mount.length > longest.length ? mount : longest), "/");
}
