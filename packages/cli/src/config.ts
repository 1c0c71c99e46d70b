import { resolve } from "node:path";

/** What the environment says. Only this file of the CLI reads it; an empty variable counts as unset. */
export interface Config {
	/** Data directory of the platform that commands are about, unless `--data` names another. */
	readonly data: string;
	/** A platform elsewhere: where it is and the key to it. */
	readonly remote: { readonly apiKey?: string; readonly apiUrl?: string; readonly sandboxUrl?: string };
	/** Settings handed on to the engine and the server, and remembered in the data directory. */
	readonly passedOn: Readonly<Record<string, string>>;
	readonly path: string;
}

/** Variables that name resources of the platform; `up` and `setup` remember them. */
const PASSED_ON = [
	"DATABASE_URL",
	"DORMICE_SECRETS_KEY",
	"DORMICE_POOL",
	"DORMICE_POOL_GIB",
	"DORMICE_SLOT_NET",
	"DORMICE_SLOTS_READY",
	"DORMICE_MACHINES_READY",
	"DORMICE_FAULTS",
	"DORMICE_SANDBOX_CPUS",
	"DORMICE_SANDBOX_MEMORY_MIB",
	"DORMICE_SANDBOX_DISK_MIB",
	"DORMICE_SANDBOX_PIDS",
	"DORMICE_MAX_TIMEOUT_HOURS",
	"DORMICE_CONCURRENT_STARTS",
	"DORMICE_START_WAIT_MS",
	"DORMICE_TRUSTED_PROXIES",
	"DORMICE_ANSWER_WITHIN_MS",
	"DORMICE_ALLOW_EMULATION",
	"DORMICE_SPARES",
	"DORMICE_KEEP_LAST",
	"DORMICE_KEEP_CHECKPOINTS",
	"DORMICE_KEEP_DAILY",
	"DORMICE_DOZE_AFTER_MS",
	"DORMICE_SLEEP_AFTER_MS",
	"DORMICE_MEMORY_BUDGET_MIB",
	"DORMICE_LOG_LEVEL",
	"DORMICE_KERNEL",
	"RUNSC_PATH",
	"QEMU_PATH",
] as const;

export function readConfig(env: NodeJS.ProcessEnv = process.env): Config {
	const get = (name: string): string | undefined => env[name] || undefined;
	const passedOn: Record<string, string> = {};
	for (const name of PASSED_ON) {
		const value = get(name);
		if (value !== undefined) passedOn[name] = value;
	}
	const apiKey = get("DORMICE_API_KEY") ?? get("E2B_API_KEY");
	const apiUrl = get("DORMICE_API_URL") ?? get("E2B_API_URL");
	const sandboxUrl = get("DORMICE_SANDBOX_URL") ?? get("E2B_SANDBOX_URL");
	return Object.freeze({
		data: resolve(get("DORMICE_DATA") ?? "/var/lib/dormice"),
		remote: {
			...(apiKey ? { apiKey } : {}),
			...(apiUrl ? { apiUrl } : {}),
			...(sandboxUrl ? { sandboxUrl } : {}),
		},
		passedOn,
		// A minimal PATH lacks where Debian keeps `nft` and `mkfs.btrfs`.
		path: `${get("PATH") ?? "/usr/bin:/bin"}:/usr/local/sbin:/usr/sbin:/sbin`,
	});
}

/** As if the environment also said so. */
export function passingOn(config: Config, variables: Readonly<Record<string, string>>): Config {
	return { ...config, passedOn: { ...config.passedOn, ...variables } };
}

/** The whole environment, for a child that is to have it. */
export function inheritedEnvironment(): NodeJS.ProcessEnv {
	return process.env;
}
