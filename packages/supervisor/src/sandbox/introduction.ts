import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isObject, stringMap, text } from "../http/json.ts";
import type { Sandbox } from "./sandbox.ts";

/** In memory, as what it tells is; only root reads it, since the access token is in it. */
const FILE = ".introduction";

/** Keeps what the sandbox was told, for a supervisor that takes the place of this one. */
export async function keepIntroduction(directory: string, sandbox: Sandbox): Promise<void> {
	const { accessToken, defaultUser, defaultWorkdir, machineId, envs, fixedEnvs } = sandbox;
	const told = { accessToken, defaultUser, defaultWorkdir, machineId, envs, fixedEnvs };
	await mkdir(directory, { recursive: true });
	const partial = join(directory, `${FILE}.partial`);
	await writeFile(partial, JSON.stringify(told), { mode: 0o600 });
	await rename(partial, join(directory, FILE));
}

/** Without it, a supervisor that was started anew would let everybody in. Nothing kept is fine: nobody has told anything yet. */
export async function recallIntroduction(directory: string, sandbox: Sandbox): Promise<void> {
	let kept: string;
	try {
		kept = await readFile(join(directory, FILE), "utf8");
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
		throw error;
	}
	const told: unknown = JSON.parse(kept);
	if (!isObject(told)) throw new TypeError(`${FILE} holds no object`);
	sandbox.accessToken = text(told, "accessToken");
	sandbox.defaultUser = text(told, "defaultUser") ?? sandbox.defaultUser;
	sandbox.defaultWorkdir = text(told, "defaultWorkdir");
	sandbox.machineId = text(told, "machineId");
	sandbox.envs = stringMap(told, "envs") ?? {};
	sandbox.fixedEnvs = stringMap(told, "fixedEnvs") ?? sandbox.fixedEnvs;
}
