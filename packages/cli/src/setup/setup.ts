import { DormiceError } from "@dormice/protocol";
import { Lock } from "../platform/lock.ts";
import type { PlatformPaths } from "../platform/paths.ts";
import type { Variables } from "../platform/settings.ts";
import { type Progress, step } from "../progress.ts";
import { accountStep } from "./account.ts";
import { apiKeyStep } from "./api-key.ts";
import { databaseStep } from "./database.ts";
import { directoriesStep } from "./directories.ts";
import { filterStep } from "./filter.ts";
import { guestStep } from "./guest.ts";
import { hasMicrovms, microvmSteps } from "./microvm.ts";
import { onPathStep } from "./on-path.ts";
import { packagesStep } from "./packages.ts";
import { runscStep } from "./runsc.ts";
import { secretsKeyStep } from "./secrets-key.ts";
import type { SetupStep } from "./step.ts";

/** What is set up only for those who want it. */
export interface SetupWishes {
	/** What microVMs need. Once there, it is kept complete without being asked for again. */
	microvms?: boolean;
	/** The command by its bare name, in any shell: for a platform that stays. */
	onPath?: boolean;
}

export interface SetupOptions extends SetupWishes {
	paths: PlatformPaths;
	/** Search path for programs. */
	path: string;
	variables: Variables;
	progress: Progress;
}

/** What any platform of this machine needs, wherever its data is. */
export function machineSteps(path: string, runscPath: string | undefined): SetupStep[] {
	return [packagesStep(path), runscStep(path, runscPath), accountStep(path)];
}

function platformSteps({ paths, path, variables, microvms, onPath = false }: SetupOptions): SetupStep[] {
	// Who allows emulation wants them.
	const withMicrovms = microvms || hasMicrovms(paths) || variables.DORMICE_ALLOW_EMULATION === "1";
	return [
		directoriesStep(paths),
		apiKeyStep(paths),
		...(variables.DORMICE_SECRETS_KEY === undefined ? [secretsKeyStep(paths)] : []),
		filterStep(paths, path),
		guestStep(paths.guest, path),
		...(withMicrovms ? microvmSteps(paths, path, variables) : []),
		...(variables.DATABASE_URL === undefined ? [databaseStep(paths)] : []),
		...(onPath ? [onPathStep()] : []),
	];
}

/** Everything that can be set up before a process of the platform runs. One at a time on a machine. */
export async function setUp(options: SetupOptions): Promise<void> {
	requirePlatform();
	await using _lock = await Lock.acquire("/run/dormice/setup.lock", (holder) => {
		options.progress({ kind: "line", text: `waiting for the set-up that ${holder} is doing` });
	});
	await runSteps(machineSteps(options.path, options.variables.RUNSC_PATH), options.progress);
	await runSteps(platformSteps(options), options.progress);
}

export async function runSteps(steps: readonly SetupStep[], progress: Progress): Promise<void> {
	for (const candidate of steps) {
		if (await candidate.isDone()) continue;
		await step(progress, candidate.title, (line) => candidate.run(line));
		if (await candidate.isDone()) continue;
		throw new DormiceError("internal", `"${candidate.title}" ran without an error and yet is not done.`);
	}
}

function requirePlatform(): void {
	if (process.platform === "linux" && process.arch === "x64") return;
	throw new DormiceError(
		"not_set_up",
		`A platform runs on Linux on x86-64; this is ${process.platform} on ${process.arch}. The client commands work here.`,
	);
}
