import { randomBytes } from "node:crypto";
import { DormiceError, newId } from "@dormice/protocol";
import { fromDatabaseError } from "../database/database.ts";
import type { NewSandbox, Template } from "../database/schema.ts";
import { bestEffort } from "../log.ts";
import { countSpawn } from "../templates/templates.ts";
import type { Host } from "./host.ts";
import { move, TRANSITION_MS } from "./move.ts";
import type { Network } from "./network.ts";
import { Resident } from "./resident.ts";
import { limitsOf, start } from "./start.ts";

export interface CreateRequest {
	teamId: string;
	template: Template;
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
}

/** Makes a sandbox from a template's generation. When this returns, its supervisor answers. */
export async function createSandbox(host: Host, request: CreateRequest): Promise<Resident> {
	const { template } = request;
	const { generationId } = template;
	if (generationId === null) {
		throw new DormiceError(
			"not_set_up",
			`Template '${template.alias}' is being prepared for its first use: try again in a few seconds.`,
		);
	}
	const beganAtMs = performance.now();
	const spare = host.spares.take(generationId);
	// A spare only has to be thawed: that takes no place among the starts.
	const place = spare === undefined ? host.starts : { run: <T>(work: () => Promise<T>) => work() };
	return await place.run(async () => {
		const resident = await insert(host, request, spare?.id ?? newId("sandbox"));
		await resident.begin("create", async () => {
			try {
				const { link, isolation } = await start(host, resident.record, {
					from: "memory",
					generationId,
					introduced: false,
					spare,
				});
				resident.attach(link);
				const startedAt = new Date();
				const endAt = new Date(startedAt.getTime() + request.timeoutSeconds * 1000);
				const durationMs = performance.now() - beganAtMs;
				await move(host, resident, {
					to: "running",
					set: { startedAt, endAt, isolation },
					event: { kind: "created", reason: "api", durationMs, detail: { template: template.alias } },
				});
				host.expireAt(endAt);
			} catch (error) {
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

async function insert(host: Host, request: CreateRequest, id: string): Promise<Resident> {
	const { template, network } = request;
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
		generationId: null,
		generationMemory: null,
		isolation: "",
		startedAt: now,
		endAt: now,
		timeoutSeconds: request.timeoutSeconds,
		autoPause: request.autoPause,
		autoPauseMemory: request.autoPauseMemory,
		autoResume: request.autoResume,
		accessToken: request.secure ? token() : null,
		trafficToken: isPrivate ? token() : null,
		allowInternetAccess: request.allowInternetAccess ?? null,
		network: JSON.stringify(network),
		metadata: JSON.stringify(request.metadata),
		envVars: JSON.stringify(request.envVars),
		...limitsOf(template),
	};
	// Between the row and its place in the table, the repair loop must not take it for somebody else's.
	host.unfinished.add(row.id);
	try {
		const record = await host.database.insertInto("sandboxes").values(row).returningAll().executeTakeFirstOrThrow();
		const resident = new Resident(record);
		host.table.add(resident);
		return resident;
	} catch (error) {
		throw fromDatabaseError(error, "recording a new sandbox");
	} finally {
		host.unfinished.delete(row.id);
	}
}

function token(): string {
	return randomBytes(32).toString("hex");
}
