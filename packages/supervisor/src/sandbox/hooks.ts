import { access, constants } from "node:fs/promises";
import { join } from "node:path";
import { log } from "../log.ts";
import type { Spawner } from "../spawner/spawner.ts";

export type HookName = "pre-sleep" | "post-wake" | "post-fork";

export interface HookOptions {
	readonly spawner: Spawner;
	/** The sandbox's `/etc`. */
	readonly etc: string;
	readonly path: string;
	/** For the program, besides PATH. */
	readonly env: Readonly<Record<string, string>>;
}

const LIMIT_MS = 5_000;
const SIGKILL = 9;

/**
 * Runs `/etc/dormice/hooks/<name>` as root, if that is there and executable, to its end or for five seconds. Whatever it
 * does, this resolves: it is the sandbox's own affair.
 */
export async function runHook(name: HookName, { spawner, etc, path, env }: HookOptions): Promise<void> {
	const file = join(etc, "dormice", "hooks", name);
	try {
		await access(file, constants.X_OK);
	} catch {
		return; // Most sandboxes have none.
	}
	try {
		const status = await runAsRoot(spawner, [file], { ...env, PATH: path }, LIMIT_MS);
		if (status !== 0) log("warn", `the hook ${name} failed`, { status: String(status) });
	} catch (error) {
		log("warn", `the hook ${name} could not be run`, { error: String(error) });
	}
}

/** Runs a program to its end and answers its wait status; what it prints is not kept. Killed after `limitMs`. */
export async function runAsRoot(
	spawner: Spawner,
	[file = "", ...args]: readonly string[],
	env: Readonly<Record<string, string>>,
	limitMs: number,
): Promise<number> {
	const environment = Object.entries(env).map(([name, value]) => `${name}=${value}`);
	const process = await spawner.spawn({ file, args, environment, cwd: "/", uid: 0, gid: 0, groups: [0], stdin: false });
	for (const output of [process.stdout, process.stderr]) output?.on("error", () => undefined).resume();
	const timer = setTimeout(() => {
		spawner.signal(process.pid, SIGKILL).catch(() => undefined);
	}, limitMs);
	try {
		return await process.exited;
	} finally {
		clearTimeout(timer);
	}
}
