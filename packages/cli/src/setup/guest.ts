import { createHash } from "node:crypto";
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DormiceError } from "@dormice/protocol";
import { run } from "../command.ts";
import { NODE, REPOSITORY } from "../platform/paths.ts";
import { writeDurably } from "../platform/settings.ts";
import type { SetupStep } from "./step.ts";

/** What the bundle is made of, besides the npm packages that the lock file pins. */
const SOURCES = [
	"package-lock.json",
	"packages/supervisor/*.ts",
	"packages/supervisor/spawner/*",
	"packages/supervisor/src/**/*.ts",
	"packages/protocol/src/**/*.{ts,js}",
];

/** The supervisor and its own Node, bundled for mounting into any sandbox. Built again when its sources change. */
export function guestStep(guestDirectory: string, path: string): SetupStep {
	const current = join(guestDirectory, "current");
	const builtFrom = join(guestDirectory, "built-from");
	return {
		title: "Build the supervisor",
		isDone: () => read(builtFrom) === sourcesHash() && existsSync(join(guestDirectory, read(current) || "missing")),
		async run(line) {
			const build = join(REPOSITORY, "packages/supervisor/build.ts");
			const output = await run([NODE, build, "--out", guestDirectory], { env: { PATH: path }, onLine: line });
			const id = output.trim().split("\n").at(-1)?.trim() ?? "";
			if (!/^[a-f0-9]{16}$/.test(id)) throw new DormiceError("internal", `${build} printed no id but: ${id}`);
			writeDurably(current, id, 0o644);
			writeDurably(builtFrom, sourcesHash(), 0o644);
		},
	};
}

function sourcesHash(): string {
	const hash = createHash("sha256");
	for (const file of globSync(SOURCES, { cwd: REPOSITORY }).sort()) {
		if (file.endsWith(".test.ts")) continue;
		hash
			.update(`${file}\0`)
			.update(readFileSync(join(REPOSITORY, file)))
			.update("\0");
	}
	return hash.digest("hex");
}

function read(path: string): string {
	return existsSync(path) ? readFileSync(path, "utf8").trim() : "";
}
