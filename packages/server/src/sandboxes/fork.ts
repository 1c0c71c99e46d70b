import { DormiceError, Steps } from "@dormice/protocol";
import type { GenerationRow } from "../database/schema.ts";
import { eachOf } from "../lifetime/each-of.ts";
import type { Templates } from "../templates/templates.ts";
import { checkpoint } from "./checkpoint.ts";
import { createSandbox, type Source } from "./create.ts";
import { findGeneration, formerToken } from "./generations.ts";
import type { Host } from "./host.ts";
import type { Resident } from "./resident.ts";
import { limitsOf } from "./start.ts";

export interface ForkOptions {
	/** How many sandboxes are made. */
	count: number;
	timeoutSeconds: number;
	/** A state of its history to begin from, in place of what it is now. */
	generationId?: string | undefined;
}

/**
 * Makes sandboxes that go on from one state of another, which goes on too. All come from one stored state, and each
 * succeeds or fails by itself. Throws when there is no such state or it cannot be stored; then none was made.
 */
export async function fork(
	host: Host,
	templates: Templates,
	resident: Resident,
	{ count, timeoutSeconds, generationId }: ForkOptions,
): Promise<PromiseSettledResult<Resident>[]> {
	const steps = new Steps({ verb: "fork", sandbox: resident.id });
	const found =
		generationId === undefined
			? checkpoint(host, resident, { reason: "fork" })
			: findGeneration(host, resident, generationId);
	const generation = await steps.time("checkpoint", found);
	// Until each fork's own row refers to it.
	host.unfinished.add(generation.id);
	try {
		const { record } = resident;
		const { teamId, autoPause, autoPauseMemory, autoResume, network, metadata, envVars } = record;
		const { doze, dozeAfterMs, sleepAfterMs } = record;
		const request = {
			teamId,
			source: forkSource(host, templates, record.templateId, generation, limitsOf(record)),
			timeoutSeconds,
			autoPause,
			autoPauseMemory,
			autoResume,
			secure: record.accessToken !== null,
			allowInternetAccess: record.allowInternetAccess ?? undefined,
			network,
			metadata,
			envVars,
			rest: { doze, dozeAfterMs, sleepAfterMs },
			retention: record.retention,
		};
		const made: PromiseSettledResult<Resident>[] = [];
		// No more at once than can start: the last ones would lose their patience over the first ones.
		const making = eachOf(Array(count).keys(), host.config.concurrentStarts, async (index) => {
			[made[index]] = await Promise.allSettled([createSandbox(host, request)]);
		});
		await steps.time("create", making);
		steps.done(host.log);
		return made;
	} finally {
		host.unfinished.delete(generation.id);
	}
}

/** Another sandbox's state as what a new one begins as. */
export function forkSource(
	host: Host,
	templates: Templates,
	templateId: string,
	generation: Pick<GenerationRow, "id" | "isolation" | "memory" | "accessToken">,
	limits: Source["limits"],
): Source {
	const template = templates.get(templateId);
	if (template === undefined) {
		throw new DormiceError("template_not_found", "The template that this state stems from is not ready: try again.");
	}
	const { id, isolation, memory } = generation;
	return {
		template,
		isolation,
		generationId: id,
		memory,
		limits,
		former: { accessToken: formerToken(host, generation) },
	};
}
