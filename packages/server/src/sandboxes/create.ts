import { randomBytes } from "node:crypto";
import { DormiceError, type Isolation, newId } from "@dormice/protocol";
import type { Limits } from "../config.ts";
import { fromDatabaseError } from "../database/database.ts";
import type { NewSandbox, Template } from "../database/schema.ts";
import { bestEffort } from "../log.ts";
import { countSpawn } from "../templates/templates.ts";
import { isDamage, markDamaged } from "./damage.ts";
import { isReferred } from "./generations.ts";
import type { Host } from "./host.ts";
import { move, TRANSITION_MS } from "./move.ts";
import type { Network } from "./network.ts";
import { Resident } from "./resident.ts";
import { type Rest, restOf } from "./rest.ts";
import { type Retention, retentionAsked } from "./retention.ts";
import { openRow, sealSecrets } from "./row.ts";
import { limitsOf, type Origin, start } from "./start.ts";

/** What a new sandbox begins as: a template's stored state, or one of another sandbox. */
export interface Source {
	/** The template, or that which the other sandbox stems from. */
	template: Template;
	/** What the state was stored by, and what is made from it goes on with. */
	isolation: Isolation;
	generationId: string;
	memory: boolean;
	limits: Limits;
	/** Set for another sandbox's state: the token that the supervisor in it asks for, null for none. */
	former?: { accessToken: string | null } | undefined;
}

export interface CreateRequest {
	teamId: string;
	source: Source;
	timeoutSeconds: number;
	autoPause: boolean;
	autoPauseMemory: boolean;
	autoResume: boolean;
	/** Whether the supervisor asks for a token. */
	secure: boolean;
	allowInternetAccess: boolean | undefined;
	network: Network;
	metadata: Record<string, string>;
	envVars: Record<string, string>;
	rest: Partial<Rest>;
	/** What of its history it keeps, where that is said. */
	retention: Partial<Retention>;
}

/** A template as a source: what it was prepared for this isolation. */
export function fromTemplate(template: Template, isolation: Isolation, generationId: string): Source {
	return { template, isolation, generationId, memory: true, limits: limitsOf(template) };
}

/** Makes a sandbox from a stored state. When this returns, its supervisor answers. */
export async function createSandbox(host: Host, request: CreateRequest): Promise<Resident> {
	const { template, isolation, generationId, memory, former } = request.source;
	const { metadata, rest: asked } = request;
	const retention = retentionAsked(request.retention, metadata);
	const rest = restOf({ asked, metadata, template, platform: host.config.rest });
	const beganAtMs = performance.now();
	const wanted = { templateId: template.id, isolation, generationId };
	const spare = former === undefined ? host.spares.take(wanted) : undefined;
	// A spare only has to be thawed: that takes no place among the starts.
	const place = spare === undefined ? host.starts : { run: <T>(work: () => Promise<T>) => work() };
	return await place.run(async () => {
		const resident = await insert(host, { ...request, rest, retention }, spare?.id ?? newId("sandbox"));
		await resident.begin("create", async () => {
			try {
				const origin: Origin = memory
					? { from: "memory", generationId, introduced: false, spare, formerToken: former?.accessToken }
					: { from: "disk", generationId };
				const link = await start(host, resident.record, origin, {
					forkOf: former === undefined ? undefined : generationId,
				});
				resident.attach(link);
				const startedAt = new Date();
				const endAt = new Date(startedAt.getTime() + request.timeoutSeconds * 1000);
				const durationMs = performance.now() - beganAtMs;
				const detail = { template: template.alias, ...(former === undefined ? {} : { generation: generationId }) };
				await move(host, resident, {
					to: "running",
					set: { startedAt, endAt },
					event: { kind: "created", reason: "api", durationMs, detail },
				});
				host.expireAt(endAt);
			} catch (error) {
				if (isDamage(error)) await markDamaged(host, generationId);
				await discard(host, resident);
				throw error;
			}
		});
		void bestEffort(host.log, "counting a spawn", countSpawn(host.database, template.id));
		return resident;
	});
}

/** Takes back a sandbox that was never handed out. What does not succeed here, the repair loop does. */
export async function discard(host: Host, resident: Resident): Promise<void> {
	resident.detach();
	try {
		await host.engine.destroy(resident.id, { forget: true });
		await host.database.deleteFrom("sandboxes").where("id", "=", resident.id).execute();
		host.table.remove(resident.id);
	} catch (error) {
		host.log.warn({ err: error, sandbox: resident.id }, "an unborn sandbox is still there; repair will clear it");
		host.repairSoon();
	}
}

async function insert(host: Host, request: CreateRequest & { rest: Rest }, id: string): Promise<Resident> {
	const { network } = request;
	const { template, isolation, limits, generationId, memory, former } = request.source;
	const now = new Date();
	const isPrivate = network.allowPublicTraffic === false;
	const row: NewSandbox = {
		id,
		teamId: request.teamId,
		templateId: template.id,
		state: "creating",
		epoch: 0,
		transitionDeadline: new Date(now.getTime() + TRANSITION_MS),
		recovering: false,
		// A template keeps its own; another sandbox's state is kept by those that began from it.
		generationId: former === undefined ? null : generationId,
		generationMemory: former === undefined ? null : memory,
		isolation,
		startedAt: now,
		endAt: now,
		timeoutSeconds: request.timeoutSeconds,
		autoPause: request.autoPause,
		autoPauseMemory: request.autoPauseMemory,
		autoResume: request.autoResume,
		...sealSecrets(host.vault, id, {
			// A supervisor that asks for a token goes on doing so: it gets another one.
			accessToken: request.secure || typeof former?.accessToken === "string" ? token() : null,
			trafficToken: isPrivate ? token() : null,
			network,
			envVars: request.envVars,
		}),
		allowInternetAccess: request.allowInternetAccess ?? null,
		metadata: JSON.stringify(request.metadata),
		...limits,
		...request.rest,
		retention: JSON.stringify(request.retention),
		unasked: false,
		stateSince: now,
		stateMs: "{}",
	};
	// Between the row and its place in the table, the repair loop must not take it for somebody else's.
	host.unfinished.add(row.id);
	try {
		const inserted = await host.database.insertInto("sandboxes").values(row).returningAll().executeTakeFirstOrThrow();
		const resident = new Resident(openRow(host.vault, inserted));
		host.table.add(resident);
		return resident;
	} catch (error) {
		if (isReferred(error)) throw new DormiceError("generation_not_found", "The stored state was deleted meanwhile.");
		throw fromDatabaseError(error, "recording a new sandbox");
	} finally {
		host.unfinished.delete(row.id);
	}
}

function token(): string {
	return randomBytes(32).toString("hex");
}
