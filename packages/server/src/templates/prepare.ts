import { type Isolation, newId } from "@dormice/protocol";
import type { Template } from "../database/schema.ts";
import type { Generation } from "../engine/engine.ts";
import { Link } from "../guest/link.ts";
import { untilAnswered } from "../guest/supervisor.ts";
import { bestEffort } from "../log.ts";
import { generationRow } from "../sandboxes/generations.ts";
import type { Host } from "../sandboxes/host.ts";
import { limitsOf } from "../sandboxes/start.ts";
import { warmUp } from "./warm.ts";

const REASON = "template";
/** A virtual machine in software takes its time. */
const HEALTHY_WITHIN_MS = 300_000;

/** What is being done. */
export type Step = "booting" | "warming up" | "storing";

/**
 * Boots a template as a sandbox nobody owns, and stores it once its supervisor answers: what sandboxes of it with this
 * isolation start from, from then on. Answers the generation's id.
 */
export async function prepareTemplate(
	host: Host,
	template: Template,
	isolation: Isolation,
	onStep: (step: Step) => void,
): Promise<string> {
	const sandboxId = newId("sandbox");
	const generationId = newId("generation");
	const beganAtMs = performance.now();
	const what = { template: template.alias, isolation };
	host.log.info(what, "preparing a template: booting it once");
	host.unfinished.add(sandboxId).add(generationId);
	try {
		onStep("booting");
		const source = { rootfsId: template.rootfsId };
		const { address } = await host.engine.boot(sandboxId, limitsOf(template), source, isolation);
		{
			using link = new Link({ address, fresh: true });
			await untilAnswered(link, { method: "GET", path: "/health" }, HEALTHY_WITHIN_MS);
			onStep("warming up");
			await bestEffort(host.log, "warming up a template", warmUp(link));
		}
		onStep("storing");
		const generation = await host.engine.checkpoint(sandboxId, { generationId, memory: true, reason: REASON });
		await commit(host, template, generation);
		const durationMs = Math.round(performance.now() - beganAtMs);
		host.log.info({ ...what, generation: generationId, durationMs }, "template prepared");
		return generationId;
	} finally {
		await bestEffort(host.log, "clearing away a template's sandbox", host.engine.destroy(sandboxId, { forget: true }));
		host.unfinished.delete(sandboxId);
		host.unfinished.delete(generationId);
	}
}

async function commit(host: Host, template: Template, generation: Generation): Promise<void> {
	await host.database.transaction().execute(async (queries) => {
		await queries
			.insertInto("generations")
			.values(generationRow(host, generation, { templateId: template.id }))
			.execute();
		await queries
			.insertInto("templateGenerations")
			.values({ templateId: template.id, isolation: generation.isolation, generationId: generation.id })
			.onConflict((conflict) =>
				conflict.columns(["templateId", "isolation"]).doUpdateSet({ generationId: generation.id }),
			)
			.execute();
		await queries.updateTable("templates").set({ updatedAt: new Date() }).where("id", "=", template.id).execute();
	});
}
