import { access, constants } from "node:fs/promises";
import { join } from "node:path";
import { DormiceError } from "@dormice/protocol";
import { isObject, type JsonObject } from "../http/json.ts";
import { log } from "../log.ts";
import { ignoreOutput, type Spawner } from "../spawner/spawner.ts";

export const HOOKS = ["pre-sleep", "post-wake", "post-fork"] as const;
export type HookName = (typeof HOOKS)[number];

/** What the host asks for. */
export interface HookCall {
	readonly name: HookName;
	readonly env: Readonly<Record<string, string>>;
}

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
	const file = fileOf(etc, name);
	// Most sandboxes have none.
	if (!(await isThere(file))) return;
	try {
		const status = await runAsRoot(spawner, [file], { ...env, PATH: path }, LIMIT_MS);
		if (status !== 0) log("warn", `the hook ${name} failed`, { status: String(status) });
	} catch (error) {
		log("warn", `the hook ${name} could not be run`, { error: String(error) });
	}
}

/** The hooks that there are. */
export async function presentHooks(etc: string): Promise<HookName[]> {
	const found = await Promise.all(HOOKS.map(async (name) => ((await isThere(fileOf(etc, name))) ? name : undefined)));
	return found.filter((name) => name !== undefined);
}

/** The field `hook` of what the host says: a name, after how long, and for which stored state; undefined when it is not there. */
export function readHook({ hook }: JsonObject): HookCall | undefined {
	if (hook === undefined || hook === null) return undefined;
	const { name, gapSeconds, generation } = isObject(hook) ? hook : {};
	const known = HOOKS.find((one) => one === name);
	if (known === undefined) throw new DormiceError("invalid_argument", `there is no hook '${String(name)}'`);
	const gap = typeof gapSeconds === "number" ? Math.max(0, Math.round(gapSeconds)) : 0;
	const env = {
		DORMICE_GAP_SECONDS: String(gap),
		DORMICE_GENERATION: typeof generation === "string" ? generation : "",
	};
	return { name: known, env };
}

function fileOf(etc: string, name: HookName): string {
	return join(etc, "dormice", "hooks", name);
}

function isThere(file: string): Promise<boolean> {
	return access(file, constants.X_OK).then(
		() => true,
		() => false,
	);
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
	ignoreOutput(process);
	const timer = setTimeout(() => {
		spawner.signal(process.pid, SIGKILL).catch(() => undefined);
	}, limitMs);
	try {
		return (await process.exited).status;
	} finally {
		clearTimeout(timer);
	}
}
