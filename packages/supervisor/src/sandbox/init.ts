import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DormiceError } from "@dormice/protocol";
import { type JsonObject, stringMap, text } from "../http/json.ts";
import { bestEffort } from "../log.ts";
import type { Alive } from "../processes/alive.ts";
import type { Spawner } from "../spawner/spawner.ts";
import { beBorn, readBirth } from "./birth.ts";
import { beOnTime } from "./clock.ts";
import { readHook, runHook } from "./hooks.ts";
import { writeOwnName } from "./hosts.ts";
import { keepIntroduction } from "./introduction.ts";
import type { Sandbox } from "./sandbox.ts";

export interface InitOptions {
	readonly sandbox: Sandbox;
	readonly spawner: Spawner;
	readonly alive: Alive;
	readonly runDirectory: string;
	readonly etc: string;
	/** The PATH of what is run. */
	readonly path: string;
	/** The `X-Access-Token` of the request. */
	readonly presented: string | undefined;
}

/**
 * `/init`: the host tells a sandbox who it is, at its start and after each wake. Once there is an access token, a later
 * call has to know it, in its body or, to change it, in the header.
 */
export async function initSandbox(body: JsonObject, options: InitOptions): Promise<void> {
	const { sandbox, spawner, alive, runDirectory } = options;
	const accessToken = text(body, "accessToken");
	if (!sandbox.admits(options.presented) && !sandbox.admits(accessToken)) {
		throw new DormiceError("unauthenticated", "the sandbox has another access token: present it in X-Access-Token");
	}
	const envVars = stringMap(body, "envVars");
	const defaultUser = text(body, "defaultUser");
	const defaultWorkdir = text(body, "defaultWorkdir");
	const sandboxId = text(body, "sandboxID");
	const templateId = text(body, "templateID");
	const hostname = text(body, "hostname");
	const entropy = Buffer.from(text(body, "entropy") ?? "", "base64");
	const birth = readBirth(body);
	const hook = readHook(body);

	if (accessToken) sandbox.accessToken = accessToken;
	if (envVars) sandbox.envs = envVars;
	if (defaultUser) sandbox.defaultUser = defaultUser;
	if (defaultWorkdir) sandbox.defaultWorkdir = defaultWorkdir;
	const identity = { E2B_SANDBOX: "true", E2B_SANDBOX_ID: sandboxId, E2B_TEMPLATE_ID: templateId };
	const known = Object.entries(identity).filter((entry): entry is [string, string] => entry[1] !== undefined);
	sandbox.fixedEnvs = { ...sandbox.fixedEnvs, ...Object.fromEntries(known) };

	// Before anything here asks for random bytes.
	if (entropy.length > 0) await bestEffort("reseeding the kernel's randomness", spawner.reseed(entropy));
	const introduced = isIntroduced(runDirectory);
	const work = [bestEffort("writing the identity files", writeIdentity(runDirectory, sandbox.fixedEnvs))];
	if (!introduced) work.push(bestEffort("noting the template's processes", alive.adoptTemplate()));
	if (hostname) {
		work.push(bestEffort("setting the hostname", spawner.setHostname(hostname)));
		work.push(bestEffort("writing the hostname into /etc/hosts", writeOwnName(options.etc, hostname)));
	}
	work.push(beOnTime(text(body, "timestamp"), spawner));
	// The host says it again when it heard no answer.
	const isBorn = birth !== undefined && sandbox.machineId !== birth.machineId;
	if (isBorn) sandbox.machineId = birth.machineId;
	work.push(bestEffort("keeping what was told", keepIntroduction(runDirectory, sandbox)));
	await Promise.all(work);
	// Last: its programs find the clock right, and the sandbox told who it is.
	const { etc, path } = options;
	if (hook) await runHook(hook.name, { spawner, etc, path, env: hook.env });
	if (isBorn) await beBorn(birth, { spawner, etc, path });
}

/** Whether it was told who it is before: told to the supervisor before this one, if that died. */
function isIntroduced(runDirectory: string): boolean {
	return existsSync(join(runDirectory, ".E2B_SANDBOX_ID"));
}

/** Programs read these where they cannot read their environment. */
async function writeIdentity(directory: string, envs: Readonly<Record<string, string>>): Promise<void> {
	await mkdir(directory, { recursive: true });
	for (const [name, value] of Object.entries(envs))
		await writeFile(join(directory, `.${name}`), value, { mode: 0o644 });
}
