import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DormiceError } from "@dormice/protocol";
import { writeWhole } from "../whole-file.ts";
import { OUTPUT, RUNSC_FLAGS } from "./flags.ts";
import { mend, needsMending } from "./mend.ts";

/** A gVisor binary with the flags it is run with; what it stored can only be read by the same two. */
export type Release = { runsc: string; version: string; flags: readonly string[] };

type HowItRan = { flags: readonly string[]; output: string };

/** The copies of gVisor that stored states were made by, so that an update of the host's own leaves them readable. */
export class KeptReleases {
	readonly #dir: string;

	constructor(data: string) {
		this.#dir = join(data, "bin");
	}

	/** Keeps a mended copy of a release, unless there is one. Answers the copy: what runs is then what was kept. */
	async keep(runsc: string, version: string): Promise<Release> {
		await mkdir(this.#dir, { recursive: true, mode: 0o700 });
		const path = join(this.#dir, `runsc-${version}`);
		if (!existsSync(path)) {
			const program = await readFile(runsc);
			if (needsMending(version) && !mend(program)) {
				throw new DormiceError("isolation_unavailable", `gVisor ${version} cannot be mended; its probe says so too.`);
			}
			await writeWhole(`${path}.flags`, JSON.stringify({ flags: RUNSC_FLAGS, output: OUTPUT }));
			await writeFile(`${path}.partial`, program, { mode: 0o755 });
			await rename(`${path}.partial`, path);
		}
		return { runsc: path, version, flags: RUNSC_FLAGS };
	}

	async list(): Promise<Release[]> {
		const names = (await readdir(this.#dir)).filter(
			(name) => /^runsc-[\w.~-]+$/.test(name) && !/\.(flags|partial)$/.test(name),
		);
		const releases: Release[] = [];
		for (const name of names) {
			const runsc = join(this.#dir, name);
			const { flags, output } = JSON.parse(await readFile(`${runsc}.flags`, "utf8")) as Partial<HowItRan>;
			// What was stored with another kind of output could only be read by an engine that still has that.
			if (flags && output === OUTPUT) releases.push({ runsc, version: name.slice("runsc-".length), flags });
		}
		return releases;
	}

	/** Removes the copies whose version is not among those that are needed. */
	async removeOthers(needed: ReadonlySet<string>): Promise<void> {
		for (const { runsc, version } of await this.list()) {
			if (needed.has(version)) continue;
			for (const path of [runsc, `${runsc}.flags`]) await rm(path, { force: true });
		}
	}
}
