import { existsSync, lstatSync, mkdirSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { REPOSITORY } from "../platform/paths.ts";
import type { SetupStep } from "./step.ts";

const LINK = "/usr/local/bin/dormice";

/** A name for the command that shells find. What is there already stays, unless it leads to a clone that is gone. */
export function onPathStep(link = LINK, program = join(REPOSITORY, "dormice")): SetupStep {
	return {
		title: `Put dormice on the PATH (${link})`,
		isDone: () => lstatSync(link, { throwIfNoEntry: false }) !== undefined && !leadsNowhere(link),
		run: async () => {
			mkdirSync(dirname(link), { recursive: true });
			if (leadsNowhere(link)) rmSync(link);
			symlinkSync(program, link);
		},
	};
}

function leadsNowhere(link: string): boolean {
	const found = lstatSync(link, { throwIfNoEntry: false });
	return found?.isSymbolicLink() === true && !existsSync(link) && basename(readlinkSync(link)) === "dormice";
}
