import { readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isObject, type JsonObject, text } from "../http/json.ts";
import { bestEffort } from "../log.ts";
import type { Spawner } from "../spawner/spawner.ts";
import { runAsRoot, runHook } from "./hooks.ts";

/** What the host gives a sandbox that begins from a state which others begin from too. */
export interface Birth {
	/** 32 hexadecimal digits. */
	readonly machineId: string;
	/** The state of another sandbox that it goes on from; undefined for a template's. */
	readonly forkOf: string | undefined;
}

export interface BirthOptions {
	readonly spawner: Spawner;
	/** The sandbox's `/etc`. */
	readonly etc: string;
	readonly path: string;
}

const KEYGEN_LIMIT_MS = 4_000;
const SIGHUP = 1;

/** The field `birth` of `/init`; undefined when it is not there. */
export function readBirth(body: JsonObject): Birth | undefined {
	const { birth } = body;
	if (!isObject(birth)) return undefined;
	const machineId = text(birth, "machineID") ?? "";
	if (!/^[0-9a-f]{32}$/.test(machineId)) return undefined;
	return { machineId, forkOf: text(birth, "forkOf") };
}

/** Makes this sandbox another being than those that went on from the same state: machine-id, host keys; then its hook. */
export async function beBorn({ machineId, forkOf }: Birth, options: BirthOptions): Promise<void> {
	const work = [bestEffort("writing the machine id", writeFile(join(options.etc, "machine-id"), `${machineId}\n`))];
	if (forkOf !== undefined) work.push(bestEffort("making new SSH host keys", renewHostKeys(options)));
	await Promise.all(work);
	if (forkOf !== undefined) await runHook("post-fork", { ...options, env: { DORMICE_GENERATION: forkOf } });
}

/** Replaces each SSH host key by one of its type, and has a running sshd read them. None are made where there were none. */
async function renewHostKeys({ spawner, etc, path }: BirthOptions): Promise<void> {
	const dir = join(etc, "ssh");
	const names = await readdir(dir).catch(() => []);
	const keys = names.filter((name) => /^ssh_host_(rsa|ecdsa|ed25519)_key$/.test(name));
	if (keys.length === 0) return;
	await Promise.all(keys.map((name) => bestEffort(`renewing ${name}`, renewKey(join(dir, name), spawner, path))));
	const pid = Number(await readFile("/run/sshd.pid", "utf8").catch(() => ""));
	if (Number.isInteger(pid) && pid > 1) process.kill(pid, SIGHUP);
}

async function renewKey(file: string, spawner: Spawner, path: string): Promise<void> {
	const type = /ssh_host_(\w+)_key$/.exec(file)?.[1] ?? "ed25519";
	const fresh = `${file}.new`;
	for (const old of [fresh, `${fresh}.pub`]) await rm(old, { force: true });
	const keygen = ["/usr/bin/ssh-keygen", "-q", "-N", "", "-t", type, "-f", fresh];
	const status = await runAsRoot(spawner, keygen, { PATH: path }, KEYGEN_LIMIT_MS);
	if (status !== 0) {
		// Better none than one that others have.
		for (const old of [file, `${file}.pub`, fresh, `${fresh}.pub`]) await rm(old, { force: true });
		throw new Error(`ssh-keygen ended with ${status}`);
	}
	await rename(`${fresh}.pub`, `${file}.pub`);
	await rename(fresh, file);
}
