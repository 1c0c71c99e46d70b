import { createHash } from "node:crypto";
import { join } from "node:path";
import { DormiceError } from "@dormice/protocol";

export type Config = {
	/** Where everything durable of this platform is: pool, guest bundles, logs. */
	readonly data: string;
	/** Where everything is that a reboot may take: sockets, mount points, records of what runs. */
	readonly run: string;
	/** UNIX socket the engine answers on. */
	readonly socket: string;
	/** Group that may open the socket besides root. */
	readonly serverGid: number;
	/** Eight hex digits that name this platform in cgroups and network slots, so that several share a machine. */
	readonly instance: string;
	/** The gVisor binary. */
	readonly runsc: string;
	/** The QEMU binary, for microVMs. */
	readonly qemu: string;
	/** A btrfs mount of the user's own; undefined means a loop image under `data`. */
	readonly pool: string | undefined;
	/** Size of the loop image, in GiB. It is sparse: it takes what is used. */
	readonly poolGiB: number;
	/** The IPv4 /16 from which network slots take their addresses on the host, as its first two octets. */
	readonly slotNet: string;
	/** Network slots kept ready. */
	readonly slotsReady: number;
	/** Machines kept started and empty, for wakes. */
	readonly machinesReady: number;
	/** A file of the tests' that names points where the engine is to fail; see `faults.ts`. */
	readonly faults: string | undefined;
};

/** Reads and resolves the engine's configuration. Throws naming the variable; empty means unset. */
export function loadConfig(env: NodeJS.ProcessEnv = process.env): Config {
	const data = absolute(env, "DORMICE_DATA") ?? "/var/lib/dormice";
	const instance = createHash("sha256").update(data).digest("hex").slice(0, 8);
	const run = absolute(env, "DORMICE_RUN") ?? join("/run/dormice", instance);
	const slotNet = text(env, "DORMICE_SLOT_NET") ?? "10.213";
	if (!/^\d{1,3}\.\d{1,3}$/.test(slotNet)) throw invalid("DORMICE_SLOT_NET", "two octets such as 10.213");
	return Object.freeze({
		data,
		run,
		socket: absolute(env, "DORMICE_ENGINE_SOCKET") ?? join(run, "engine.sock"),
		serverGid: integer(env, "DORMICE_SERVER_GID", 0, 0, 2 ** 31),
		instance,
		runsc: absolute(env, "RUNSC_PATH") ?? "/usr/bin/runsc",
		qemu: absolute(env, "QEMU_PATH") ?? "/usr/bin/qemu-system-x86_64",
		pool: absolute(env, "DORMICE_POOL"),
		poolGiB: integer(env, "DORMICE_POOL_GIB", 100, 4, 1 << 20),
		slotNet,
		slotsReady: integer(env, "DORMICE_SLOTS_READY", 4, 0, 256),
		machinesReady: integer(env, "DORMICE_MACHINES_READY", 2, 0, 64),
		faults: absolute(env, "DORMICE_FAULTS"),
	});
}

function text(env: NodeJS.ProcessEnv, name: string): string | undefined {
	const value = env[name];
	return value === undefined || value === "" ? undefined : value;
}

function absolute(env: NodeJS.ProcessEnv, name: string): string | undefined {
	const value = text(env, name);
	if (value !== undefined && !value.startsWith("/")) throw invalid(name, "an absolute path");
	return value;
}

function integer(env: NodeJS.ProcessEnv, name: string, fallback: number, min: number, max: number): number {
	const value = text(env, name);
	if (value === undefined) return fallback;
	const number = Number(value);
	if (!Number.isInteger(number) || number < min || number > max)
		throw invalid(name, `a whole number, ${min} to ${max}`);
	return number;
}

function invalid(name: string, wanted: string): DormiceError {
	return new DormiceError("invalid_argument", `${name} must be ${wanted}. Change it or unset it.`);
}
