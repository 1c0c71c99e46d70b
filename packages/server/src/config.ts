import { availableParallelism } from "node:os";
import { join } from "node:path";
import { DormiceError } from "@dormice/protocol";
import { parseProxies, type TrustedProxies } from "./gateway/proxies.ts";
import type { Rest } from "./sandboxes/rest.ts";
import type { Retention } from "./sandboxes/retention.ts";

/** What a sandbox may use of the host. */
export interface Limits {
	cpuCount: number;
	memoryMib: number;
	diskMib: number;
	pids: number;
}

/** Everything the server can be told, resolved. */
export interface Config {
	/** The platform's data directory; the sandboxes' logs are below it. */
	dataDir: string;
	/** Where the one listener binds. Port 0 takes a free one. */
	host: string;
	port: number;
	/** The domain, with its port if it has one, below which sandboxes have host names: `3000-<id>.<domain>`. */
	domain: string | undefined;
	/** Proxies before us that may say who their clients are. */
	trustedProxies: TrustedProxies;
	engineSocket: string;
	/** Where the key for the database's secrets lies, unless it was given. */
	secretsKeyPath: string;
	/** Whether sandboxes may run in virtual machines in software, where somebody asks for them. */
	allowEmulation: boolean;
	/** How many sandboxes may be started from disk at the same time. */
	concurrentStarts: number;
	/** How long a start waits for its place among them. */
	startWaitMs: number;
	/** For the first answer of a sandbox that goes on from memory; on a host hard at work the pages it needs take seconds to come. */
	answerWithinMs: number;
	/** How many sandboxes of each template are kept ready for the next creates. */
	spares: number;
	/** What of their histories sandboxes keep that do not say so, of templates that do not either. */
	retention: Retention;
	/** How sandboxes rest that do not say so, of templates that do not either. */
	rest: Rest;
	/** What sandboxes may take together before those that doze are put to sleep; undefined measures the host. */
	memoryBudgetMib: number | undefined;
	/** The longest timeout a client may ask for. */
	maxTimeoutSeconds: number;
	/** What sandboxes of a template get unless the template says otherwise. */
	limits: Limits;
	logLevel: string;
}

/** Apart from the rest, so that printing a configuration cannot print these. */
export interface Secrets {
	databaseUrl: string;
	/** A key that must work; only its hash is stored. */
	apiKey: string | undefined;
	/** The key for the database's secrets, where several servers share one database. */
	secretsKey: string | undefined;
}

function text(env: NodeJS.ProcessEnv, name: string): string | undefined {
	const value = env[name];
	return value === undefined || value === "" ? undefined : value;
}

function required(env: NodeJS.ProcessEnv, name: string, meaning: string): string {
	const value = text(env, name);
	if (value === undefined) throw new DormiceError("invalid_argument", `Set ${name}: ${meaning}.`);
	return value;
}

/** Its error never has the value. */
function secretsKey(env: NodeJS.ProcessEnv): string | undefined {
	const value = text(env, "DORMICE_SECRETS_KEY");
	if (value === undefined || /^[0-9a-f]{64}$/.test(value)) return value;
	throw new DormiceError(
		"invalid_argument",
		"DORMICE_SECRETS_KEY must be 64 hexadecimal digits: `openssl rand -hex 32`.",
	);
}

function integer(env: NodeJS.ProcessEnv, name: string, fallback: number, min: number, max: number): number {
	const value = text(env, name);
	if (value === undefined) return fallback;
	const number = Number(value);
	if (!Number.isInteger(number) || number < min || number > max) {
		throw new DormiceError("invalid_argument", `${name} must be an integer from ${min} to ${max}, not '${value}'.`);
	}
	return number;
}

/** Reads the environment. Throws `invalid_argument` naming the variable that is wrong. */
export function readConfig(env: NodeJS.ProcessEnv = process.env): { config: Config; secrets: Secrets } {
	const dataDir = required(env, "DORMICE_DATA", "the platform's data directory");
	const config: Config = {
		dataDir,
		host: text(env, "DORMICE_LISTEN") ?? "127.0.0.1",
		port: integer(env, "DORMICE_PORT", 3999, 0, 65535),
		domain: text(env, "DORMICE_DOMAIN")?.toLowerCase(),
		trustedProxies: parseProxies(text(env, "DORMICE_TRUSTED_PROXIES")),
		engineSocket: text(env, "DORMICE_ENGINE_SOCKET") ?? join(dataDir, "run", "engine.sock"),
		secretsKeyPath: join(dataDir, "secrets.key"),
		allowEmulation: integer(env, "DORMICE_ALLOW_EMULATION", 0, 0, 1) === 1,
		concurrentStarts: integer(env, "DORMICE_CONCURRENT_STARTS", availableParallelism(), 1, 1024),
		startWaitMs: integer(env, "DORMICE_START_WAIT_MS", 20_000, 0, 600_000),
		answerWithinMs: integer(env, "DORMICE_ANSWER_WITHIN_MS", 30_000, 100, 600_000),
		spares: integer(env, "DORMICE_SPARES", 1, 0, 64),
		retention: Object.freeze({
			last: integer(env, "DORMICE_KEEP_LAST", 2, 0, 10_000),
			checkpoints: integer(env, "DORMICE_KEEP_CHECKPOINTS", 100, 0, 10_000),
			daily: integer(env, "DORMICE_KEEP_DAILY", 0, 0, 10_000),
		}),
		rest: Object.freeze({
			doze: "idle",
			dozeAfterMs: integer(env, "DORMICE_DOZE_AFTER_MS", 2_000, 0, 2 ** 31 - 1),
			sleepAfterMs: integer(env, "DORMICE_SLEEP_AFTER_MS", 600_000, 0, 2 ** 31 - 1),
		}),
		memoryBudgetMib: integer(env, "DORMICE_MEMORY_BUDGET_MIB", 0, 0, 1 << 24) || undefined,
		maxTimeoutSeconds: integer(env, "DORMICE_MAX_TIMEOUT_HOURS", 24, 1, 24 * 365) * 3600,
		limits: Object.freeze({
			cpuCount: integer(env, "DORMICE_SANDBOX_CPUS", 2, 1, 1024),
			memoryMib: integer(env, "DORMICE_SANDBOX_MEMORY_MIB", 1024, 64, 1 << 20),
			diskMib: integer(env, "DORMICE_SANDBOX_DISK_MIB", 10240, 64, 1 << 24),
			pids: integer(env, "DORMICE_SANDBOX_PIDS", 4096, 16, 1 << 22),
		}),
		logLevel: text(env, "DORMICE_LOG_LEVEL") ?? "info",
	};
	const secrets: Secrets = {
		databaseUrl: required(env, "DATABASE_URL", "the PostgreSQL to use, as postgres://user@host/database"),
		apiKey: text(env, "DORMICE_API_KEY"),
		secretsKey: secretsKey(env),
	};
	return { config: Object.freeze(config), secrets: Object.freeze(secrets) };
}
