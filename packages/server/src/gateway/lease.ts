import { timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { GUEST } from "@dormice/protocol";
import type { Link } from "../guest/link.ts";
import type { Host } from "../sandboxes/host.ts";
import { PORT_PLACEHOLDER } from "../sandboxes/network.ts";
import type { Resident, WorkKind } from "../sandboxes/resident.ts";
import { awaken } from "../sandboxes/wake.ts";
import * as refusals from "./refusal.ts";
import { isSignedBy } from "./signed-files.ts";

/** Leave to talk to a port of a sandbox that is awake. */
export interface Lease {
	sandboxId: string;
	port: number;
	link: Link;
	/** What the application sees as `Host`. */
	maskedHost: string | undefined;
}

export type Admission = { lease: Lease } | { refusal: refusals.Refusal };

/** Waking by a request gives a sandbox at least this long. */
const MIN_TIMEOUT_SECONDS = 300;
const MAX_CONNECTIONS = 4096;
/** A request with `never` in this header is for a sandbox that is awake: of another it learns that it sleeps. */
const WAKE = "dormice-wake";

/** Judges a request and wakes its sandbox if that is its due. The signal ends the waiting, not the waking. */
export async function admit(
	host: Host,
	{ sandboxId, port }: { sandboxId: string; port: number },
	req: IncomingMessage,
	signal: AbortSignal,
): Promise<Admission> {
	try {
		const resident = host.table.get(sandboxId);
		const refusal = resident === undefined ? refusals.notFound(sandboxId) : judge(resident, port, req);
		if (resident === undefined || refusal !== undefined) return { refusal: refusal ?? refusals.notFound(sandboxId) };
		if (!isUp(resident)) {
			const { timeoutSeconds } = resident.record;
			await awaken(host, resident, {
				memory: true,
				timeoutSeconds: Math.max(timeoutSeconds, MIN_TIMEOUT_SECONDS),
				reason: "request",
				signal,
			});
		}
		return lease(host, resident, port);
	} catch (error) {
		if (!signal.aborted) host.log.info({ err: error, sandbox: sandboxId }, "a request did not reach its sandbox");
		return { refusal: refusals.failed(sandboxId, error) };
	}
}

/** Work on a sandbox that resets what is open to it: who comes after it was begun waits for its end. */
const CUTS: ReadonlySet<WorkKind> = new Set(["pause", "fall", "checkpoint", "rollback"]);

function isUp({ record, link, work, dozing }: Resident): boolean {
	if (link === undefined || link.closed || dozing) return false;
	if (work !== undefined && !work.passes && CUTS.has(work.kind)) return false;
	// Of one that has just been thawed, the row may still say that it dozes.
	return record.state === "running" || record.state === "dozing";
}

function lease(host: Host, resident: Resident, port: number): Admission {
	const { id, link, record } = resident;
	if (link === undefined || link.closed) {
		// It runs, and since a restart nobody has said where: the repair loop is about to ask the engine.
		host.repairSoon();
		return { refusal: refusals.transitioning(id) };
	}
	if (link.busy >= MAX_CONNECTIONS) return { refusal: refusals.tooManyConnections(id, MAX_CONNECTIONS) };
	// Before anything is sent: from here on it is in use, and is not put to rest.
	link.touch();
	const mask = port === GUEST.supervisorPort ? undefined : record.network.maskRequestHost;
	return { lease: { sandboxId: id, port, link, maskedHost: mask?.replaceAll(PORT_PLACEHOLDER, String(port)) } };
}

/** Why this request may not go to this sandbox, asleep or awake. */
function judge(resident: Resident, port: number, req: IncomingMessage): refusals.Refusal | undefined {
	const { id, record, work } = resident;
	if (port !== GUEST.supervisorPort && record.trafficToken !== null) {
		const token = req.headers[refusals.TRAFFIC_TOKEN];
		if (typeof token !== "string" || token === "") return refusals.tokenMissing(id);
		if (!isSame(token, record.trafficToken)) return refusals.tokenInvalid(id);
	}
	switch (record.state) {
		case "running":
		case "dozing":
		case "waking":
		case "failed":
			// A running sandbox that a pause has just been begun for counts as pausing.
			return work?.kind === "pause" ? sleeping(resident, port, req) : undefined;
		case "asleep":
		case "checkpointing":
			// One that sleeps unasked is woken by whoever comes, as if it had been running.
			return record.unasked ? undefined : sleeping(resident, port, req);
		case "creating":
			return refusals.transitioning(id);
		case "killing":
		case "gone":
			return refusals.notFound(id);
	}
}

/** Whether a request may wake this sandbox. */
function sleeping(resident: Resident, port: number, req: IncomingMessage): refusals.Refusal | undefined {
	const { id, record, work } = resident;
	// Somebody wakes it already, or puts it back to what it was, after which it runs.
	if (work?.kind === "wake" || work?.kind === "rollback") return undefined;
	if (req.headers[WAKE] === "never") return refusals.notFound(id);
	const isFalling = record.state !== "asleep";
	if (!record.autoResume) return isFalling ? refusals.transitioning(id) : refusals.notFound(id);
	// A cold boot loses what runs: that takes more than a passing request.
	if (record.generationMemory === false && !isFalling) return refusals.notFound(id);
	const { accessToken } = record;
	if (port !== GUEST.supervisorPort || accessToken === null) return undefined;
	const given = req.headers["x-access-token"];
	if (typeof given === "string" && isSame(given, accessToken)) return undefined;
	return isSignedBy(resident, req.method ?? "", req.url ?? "") ? undefined : refusals.resumeRefused(id);
}

function isSame(given: string, expected: string): boolean {
	const [a, b] = [Buffer.from(given), Buffer.from(expected)];
	return a.length === b.length && timingSafeEqual(a, b);
}
