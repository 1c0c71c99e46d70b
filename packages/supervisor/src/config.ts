import { DormiceError, GUEST } from "@dormice/protocol";

export interface Config {
	readonly port: number;
	/** Where the host is listened to. */
	readonly hostPort: number;
	/** The only peer that is listened to there. */
	readonly hostAddress: string;
	/** The spawner's own binary, for its `watch` mode. */
	readonly spawnerPath: string;
	/** Where `.E2B_SANDBOX` and its like are written. */
	readonly runDirectory: string;
	/** Where metadata of files is kept that their file system does not keep: on the sandbox's disk, to outlive a boot. */
	readonly metadataDirectory: string;
	/** The sandbox's own configuration: its machine-id, host keys and hooks. */
	readonly etc: string;
	/** Where the output of processes is kept: on the sandbox's disk, so that it is not memory. */
	readonly outputDirectory: string;
	/** Where uploads are written before they take their place: on the sandbox's disk. */
	readonly stagingDirectory: string;
	/** Other file systems to which files are often written. */
	readonly temporaryDirectories: readonly string[];
	/** The PATH that processes begin with. */
	readonly path: string;
}

const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** What the environment says, resolved. Empty means unset. */
export function readConfig(env: NodeJS.ProcessEnv = process.env): Config {
	return Object.freeze({
		port: port(env, "DORMICE_SUPERVISOR_PORT", GUEST.supervisorPort),
		hostPort: port(env, "DORMICE_HOST_PORT", GUEST.hostPort),
		hostAddress: env.DORMICE_HOST_ADDRESS || GUEST.gateway,
		spawnerPath: env.DORMICE_SPAWNER || `${GUEST.mount}/spawner`,
		runDirectory: env.DORMICE_RUN_DIRECTORY || "/run/e2b",
		metadataDirectory: env.DORMICE_METADATA_DIRECTORY || "/var/lib/dormice/metadata",
		etc: env.DORMICE_ETC || "/etc",
		outputDirectory: env.DORMICE_OUTPUT_DIRECTORY || "/var/lib/dormice/output",
		stagingDirectory: env.DORMICE_STAGING_DIRECTORY || "/var/lib/dormice",
		temporaryDirectories: (env.DORMICE_TEMPORARY_DIRECTORIES || "/tmp:/var/tmp").split(":"),
		path: env.PATH || DEFAULT_PATH,
	});
}

function port(env: NodeJS.ProcessEnv, name: string, fallback: number): number {
	const text = env[name] || String(fallback);
	const value = Number(text);
	if (Number.isInteger(value) && value >= 0 && value <= 65535) return value;
	throw new DormiceError("invalid_argument", `${name} must be a port number, not '${text}'`);
}
