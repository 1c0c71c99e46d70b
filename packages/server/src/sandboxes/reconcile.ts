import { isId } from "@dormice/protocol";
import type { Sandbox } from "../database/schema.ts";
import type { HostSandbox } from "../engine/engine.ts";
import { tell } from "../events/record.ts";
import { Link } from "../guest/link.ts";
import { eachOf } from "../lifetime/each-of.ts";
import { discard } from "./create.ts";
import { sweepGenerations } from "./generations.ts";
import type { Host } from "./host.ts";
import { finishKill } from "./kill.ts";
import { move, settle } from "./move.ts";
import { recover } from "./recover.ts";
import { type Repair, repairOf } from "./repair.ts";
import { Resident } from "./resident.ts";
import { openRow } from "./row.ts";

/** How many sandboxes are repaired at once; starts among them wait for their place as everywhere. */
const WIDTH = 8;
/** A repair that failed so often will not be well by itself in a moment. */
const TOLD_AFTER = 3;

/** The residents nobody worked on when a turn began, and their versions. */
type Before = Map<string, string>;

/**
 * One turn of the repair loop: compares the rows with what the engine has, and moves each pair one step together.
 * The same at start, after a crash of anything, and every few seconds. Throws when the engine or the database is away;
 * then nothing is touched, and sandboxes that run go on answering.
 */
export async function reconcile(host: Host): Promise<void> {
	// Taken before the engine is asked: who changes after this is newer than its answer, and is left to the next turn.
	const before: Before = new Map();
	for (const resident of host.table.values()) {
		if (resident.work === undefined) before.set(resident.id, resident.version);
	}
	const strangers = new Set(host.unfinished);
	const found = new Map((await host.engine.list()).map((sandbox) => [sandbox.id, sandbox]));
	const rows = await unsettledRows(host, [...found.keys()]);

	await eachOf(rows, WIDTH, async (row) => {
		const resident = claim(host, row, before);
		if (resident !== undefined) await repair(host, resident, found.get(row.id));
	});
	forgetDeleted(host, before, rows);
	const known = new Set(rows.map(({ id }) => id));
	await eachOf(found.values(), WIDTH, async ({ id }) => {
		if (known.has(id) || strangers.has(id) || host.unfinished.has(id)) return;
		if (host.table.get(id) === undefined) await evict(host, id);
	});
	await sweepGenerations(host);
}

/** Every row that does not simply sleep, and the sleepers of which the engine has something. */
async function unsettledRows(host: Host, foundIds: string[]): Promise<Sandbox[]> {
	const ids = [...foundIds, ...staleSleepers(host)];
	const rows = await host.database
		.selectFrom("sandboxes")
		.selectAll()
		.where((where) => where.or([where("state", "<>", "asleep"), where("id", "=", where.fn.any(where.val(ids)))]))
		.execute();
	return rows.map((row) => openRow(host.vault, row, host.table.get(row.id)?.record));
}

/** Rows that may have fallen asleep without our knowing: a commit whose answer was lost. */
function staleSleepers(host: Host): string[] {
	return [...host.table.values()]
		.filter(({ work, record }) => work === undefined && record.state !== "asleep")
		.map(({ id }) => id);
}

/** The resident of a row nobody works on, brought up to the row; undefined when it has changed since we looked. */
function claim(host: Host, row: Sandbox, before: Before): Resident | undefined {
	const resident = host.table.get(row.id);
	if (resident === undefined) {
		if (host.unfinished.has(row.id)) return undefined;
		// Not ours in memory, and not removed a moment ago either: a row this process has not met.
		if (before.has(row.id)) return undefined;
		const met = new Resident(row);
		host.table.add(met);
		return met;
	}
	if (resident.work !== undefined || before.get(row.id) !== resident.version) return undefined;
	if (row.epoch < resident.record.epoch) return undefined;
	resident.record = row;
	return resident;
}

async function repair(host: Host, resident: Resident, found: HostSandbox | undefined): Promise<void> {
	const todo = repairOf(resident.record, found);
	if (todo === "none" || (todo === "adopt" && isAdopted(resident, found))) return;
	if (!(todo === "recover" ? resident.recovering : resident.repairing).isDue) return;
	const { id } = resident;
	host.log.info({ sandbox: id, state: resident.record.state, engine: found?.state, repair: todo }, "repairing");
	try {
		if (todo === "recover") {
			// In the background: it waits for its place among the starts, and the loop has others to see to.
			recover(host, resident).catch((error: unknown) => {
				host.log.warn({ err: error, sandbox: id }, "a recovery failed");
			});
		} else {
			await resident.begin("repair", () => carryOut(host, resident, todo, found));
			resident.repairing.worked();
		}
	} catch (error) {
		resident.repairing.failed();
		const { failures, waitMs } = resident.repairing;
		setTimeout(host.repairSoon, waitMs).unref();
		host.log.warn({ err: error, sandbox: id, repair: todo, failures }, "a repair failed; a later turn tries again");
		if (failures === TOLD_AFTER) await tellFailing(host, id, todo, error);
	}
	if (todo === "fail" || todo === "fail_keeping_disk") host.repairSoon();
}

/** That a sandbox cannot be repaired is for its owner to know, once. */
async function tellFailing(host: Host, id: string, todo: Repair, error: unknown): Promise<void> {
	const message = error instanceof Error ? error.message : String(error);
	const detail = { repair: todo, error: message.slice(0, 500) };
	await tell(host.database, host.log, id, { kind: "repair_failed", reason: "crash", detail });
}

function isAdopted({ link, record, dozing }: Resident, found: HostSandbox | undefined): boolean {
	if (record.state !== "running" && record.state !== "dozing") return false;
	const isConnected = link !== undefined && !link.closed && link.address === found?.address;
	return isConnected && dozing === (found.state === "frozen");
}

async function carryOut(
	host: Host,
	resident: Resident,
	todo: Exclude<Repair, "none" | "recover">,
	found: HostSandbox | undefined,
): Promise<void> {
	const { id } = resident;
	switch (todo) {
		case "adopt":
			return await adopt(host, resident, found);
		case "resume":
			await host.engine.resume(id);
			return await adopt(host, resident, found);
		case "thaw":
			await host.engine.thaw(id);
			return await adopt(host, resident, found, false);
		case "fail":
			resident.detach();
			return await move(host, resident, { to: "failed", event: { kind: "crashed", reason: "crash" } });
		case "fail_keeping_disk":
			await host.engine.destroy(id, { keepDisk: true });
			return await move(host, resident, { to: "failed", event: { kind: "crashed", reason: "crash" } });
		case "discard":
			return await discard(host, resident);
		case "sleep":
			resident.detach();
			await host.engine.destroy(id);
			return await move(host, resident, { to: "asleep", set: { recovering: false } });
		case "clear":
			resident.detach();
			return await host.engine.destroy(id);
		case "kill":
			return await finishKill(host, resident, "crash");
	}
}

async function adopt(
	host: Host,
	resident: Resident,
	found: HostSandbox | undefined,
	isFrozen = found?.state === "frozen",
): Promise<void> {
	if (found === undefined) return;
	const { record, link } = resident;
	// What is open to it stays open, if only whether it dozes was not known.
	if (link === undefined || link.closed || link.address !== found.address) {
		resident.attach(new Link({ address: found.address, httpsPorts: record.network.httpsPorts, fresh: false }));
	}
	resident.turn(isFrozen);
	if (record.state === "checkpointing") await move(host, resident, { to: "running", set: { unasked: false } });
	else await settle(host, resident, "crash");
	host.expireAt(record.endAt);
}

/** Drops residents whose row is gone: a deletion that was committed and whose answer was lost. */
function forgetDeleted(host: Host, before: Before, rows: readonly Sandbox[]): void {
	const present = new Set(rows.map(({ id }) => id));
	for (const [id, version] of before) {
		const resident = host.table.get(id);
		if (resident === undefined || resident.work !== undefined || present.has(id)) continue;
		// Sleepers were not asked for, so that they are missing says nothing.
		if (resident.record.state !== "asleep" && resident.version === version) host.table.remove(id);
	}
}

async function evict(host: Host, id: string): Promise<void> {
	if (!isId("sandbox", id)) return;
	host.log.info({ sandbox: id }, "destroying a sandbox that no row names");
	try {
		await host.engine.destroy(id, { forget: true });
	} catch (error) {
		host.log.warn({ err: error, sandbox: id }, "it could not be destroyed; the next turn tries again");
	}
}
