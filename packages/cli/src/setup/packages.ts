import { existsSync } from "node:fs";
import { install, refreshLists } from "./apt.ts";
import { missingPrograms } from "./programs.ts";
import type { SetupStep } from "./step.ts";

/** The Debian packages of a host. */
export function packagesStep(path: string): SetupStep {
	return {
		title: "Install Debian packages",
		isDone: () => missingPrograms(path).length === 0,
		async run(line) {
			const packages = missingPrograms(path).map((program) => program.package);
			line(packages.join(" "));
			// Lists of unknown age may name versions that the mirror no longer has.
			if (existsSync("/usr/bin/apt-get")) await refreshLists(path, line);
			await install(packages, path, line);
		},
	};
}
