import { randomBytes, randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { DormiceError } from "@dormice/protocol";
import type { Limits } from "../config.ts";
import type { Sandbox } from "../database/schema.ts";
import type { HostSandbox } from "../engine/engine.ts";
import { tell } from "../events/record.ts";
import { isFresh, tellTime } from "../guest/clock.ts";
import type { HookCall } from "../guest/hooks.ts";
import { Link } from "../guest/link.ts";
import { untilAnswered } from "../guest/supervisor.ts";
import { bestEffort } from "../log.ts";
import type { Spare } from "../templates/spares.ts";
import type { Host } from "./host.ts";

/** From what a sandbox's processes come: a memory image, a copy of a generation's disk, or the disk it still has. */
export type Origin = MemoryOrigin | { from: "disk"; generationId: string } | { from: "own_disk" };

export interface MemoryOrigin {
	from: "memory";
	generationId: string;
	/** The memory is the sandbox's own, and its supervisor knows already who it is. */
	introduced: boolean;
	spare?: Spare | undefined;
	/** Of another sandbox's memory: the token that its supervisor asks for (null: for none). */
	formerToken?: string | null | undefined;
	/** How long its own memory was not there. */
	gapSeconds?: number | undefined;
}

/** Set for a new sandbox, with the state of another one that it goes on from, if that is what it comes of. */
export type Birth = { forkOf?: string | undefined };

/** From memory everything runs already; a cold boot starts an init and a supervisor first. */
const BOOT_TIMES = 2;

/** A virtual machine in software does everything so many times slower. */
const EMULATED_TIMES = 6;

/** Long enough for the answer to whoever woke it. */
const INTRODUCE_AFTER_MS = 300;

/**
 * Starts a sandbox's processes and tells its supervisor who it is. When this returns, it takes requests.
 * On failure nothing of it runs any more; its own disk is kept if it came from there. The row is the caller's business.
 * It is kept apart as its row says, or not started: `isolation_unavailable`.
 */
export async function start(host: Host, sandbox: Sandbox, origin: Origin, birth?: Birth): Promise<Link> {
	host.isolations.checkAllowed(sandbox.isolation);
	let link: Link | undefined;
	try {
		const { address, isolation, repaired } = await startProcesses(host, sandbox, origin);
		// Told also of a start that fails in the end: the disk is another one now.
		if (repaired !== undefined) {
			const event = { kind: "disk_repaired", reason: "crash", detail: { repaired } } as const;
			await tell(host.database, host.log, sandbox.id, event);
		}
		if (isolation !== sandbox.isolation) {
			throw new DormiceError(
				"internal",
				`The engine started ${sandbox.id} with ${isolation}, not ${sandbox.isolation}.`,
			);
		}
		link = new Link({ address, httpsPorts: sandbox.network.httpsPorts, fresh: true });
		const fresh = link;
		const times =
			(origin.from === "memory" ? 1 : BOOT_TIMES) * (host.isolations.isEmulated(isolation) ? EMULATED_TIMES : 1);
		const withinMs = host.config.answerWithinMs * times;
		const introduce = () =>
			untilAnswered(fresh, introduction(sandbox, origin, birth), withinMs).catch(async (error: unknown) => {
				// Nobody listens in one that sleeps again.
				if (!fresh.closed) await report(host, sandbox.id, error);
				throw error;
			});
		// A kernel of its own goes on at the time, and with the random numbers, of the moment it was stored: it is told before anything else.
		if (isolation === "microvm") {
			const saidAtMs = performance.now();
			await introduce();
			if (!isFresh(saidAtMs))
				await bestEffort(host.log, `setting the clock of ${sandbox.id}`, tellTime(fresh, withinMs));
		} else if (origin.from !== "memory" || !origin.introduced) await introduce();
		else {
			// It knows who it is already. What whoever woke it has asked for comes first; unless a program of its own is to be told.
			fresh.introduced = sleep(sandbox.wakeHook ? 0 : INTRODUCE_AFTER_MS).then(() => {
				if (!fresh.closed) return introduce();
			});
			// That it failed is in the log, and whoever wakes it looks after it.
			const told = fresh.introduced.catch(() => undefined);
			if (sandbox.wakeHook) await told;
		}
		return link;
	} catch (error) {
		link?.[Symbol.dispose]();
		await cleanUp(host, sandbox.id, origin);
		throw error;
	}
}

async function startProcesses(host: Host, sandbox: Sandbox, origin: Origin): Promise<HostSandbox> {
	const startOnce = (): Promise<HostSandbox> => {
		const limits = limitsOf(sandbox);
		switch (origin.from) {
			case "memory":
				return host.engine.restore(sandbox.id, limits, origin.generationId);
			case "disk":
				return host.engine.boot(sandbox.id, limits, { generationId: origin.generationId }, sandbox.isolation);
			case "own_disk":
				return host.engine.boot(sandbox.id, limits, { ownDisk: true }, sandbox.isolation);
		}
	};
	if (origin.from === "memory" && origin.spare !== undefined) {
		try {
			await host.engine.thaw(sandbox.id);
			return { state: "running", guestId: "", repaired: undefined, ...origin.spare };
		} catch (error) {
			host.log.warn({ err: error, sandbox: sandbox.id }, "a spare could not be thawed; starting anew");
		}
	}
	try {
		return await startOnce();
	} catch (error) {
		if (!(error instanceof DormiceError) || error.reason !== "already_exists") throw error;
		// What an earlier pause could not clear away.
		await host.engine.destroy(sandbox.id, { keepDisk: origin.from === "own_disk" });
		return await startOnce();
	}
}

/** Leaves in the log what can be seen of a sandbox that does not answer: it is about to be gone. */
async function report(host: Host, id: string, error: unknown): Promise<void> {
	const seen = await bestEffort(host.log, `looking at ${id}`, host.engine.diagnose(id));
	host.log.warn({ err: error, sandbox: id, report: seen }, "a sandbox does not answer");
}

async function cleanUp(host: Host, id: string, origin: Origin): Promise<void> {
	try {
		await host.engine.destroy(id, { keepDisk: origin.from === "own_disk" });
	} catch (error) {
		host.log.warn({ err: error, sandbox: id }, "a sandbox that did not start is still there; repair will clear it");
		host.repairSoon();
	}
}

function introduction(sandbox: Sandbox, origin?: Origin, birth?: Birth) {
	const formerToken = origin?.from === "memory" ? origin.formerToken : undefined;
	const hook = hookOf(origin);
	// The same each time it is said: it is born once.
	const identity = birth === undefined ? undefined : newIdentity(birth);
	return {
		method: "POST",
		path: "/init",
		accessToken: formerToken === undefined ? sandbox.accessToken : formerToken,
		body: () => ({
			envVars: sandbox.envVars,
			...(sandbox.accessToken === null ? {} : { accessToken: sandbox.accessToken }),
			timestamp: new Date().toISOString(),
			defaultUser: "user",
			defaultWorkdir: "/home/user",
			lifecycleID: randomUUID(),
			sandboxID: sandbox.id,
			templateID: sandbox.templateId,
			hostname: sandbox.id,
			entropy: randomBytes(64).toString("base64"),
			...(identity === undefined ? {} : { birth: identity }),
			...(hook === undefined ? {} : { hook }),
		}),
	} as const;
}

/** What tells it from those that began as the same. */
function newIdentity({ forkOf }: Birth) {
	return {
		machineID: randomBytes(16).toString("hex"),
		...(forkOf === undefined ? {} : { forkOf }),
	};
}

/** What a sandbox is told that wakes. It travels with the introduction, and so costs no call of its own. */
function hookOf(origin: Origin | undefined): HookCall | undefined {
	if (origin?.from !== "memory") return undefined;
	const { introduced, gapSeconds = 0, generationId: generation } = origin;
	return introduced ? { name: "post-wake", gapSeconds, generation } : undefined;
}

export function limitsOf({ cpuCount, memoryMib, diskMib, pids }: Limits): Limits {
	return { cpuCount, memoryMib, diskMib, pids };
}
