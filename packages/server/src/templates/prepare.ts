import { DormiceError, newId } from "@dormice/protocol";
import type { Template } from "../database/schema.ts";
import type { Generation, HostReport } from "../engine/engine.ts";
import { Link } from "../guest/link.ts";
import { untilAnswered } from "../guest/supervisor.ts";
import { bestEffort } from "../log.ts";
import { collect, generationRow } from "../sandboxes/generations.ts";
import type { Host } from "../sandboxes/host.ts";
import { limitsOf } from "../sandboxes/start.ts";
import type { Templates } from "./templates.ts";
import { warmUp } from "./warm.ts";

const REASON = "template";
const HEALTHY_WITHIN_MS = 60_000;

/**
 * Makes every root file system of this host a template that can be started: booted once with this host's engine and
 * supervisor, and stored. Repeating it costs three questions; a new engine or supervisor makes it store anew.
 */
export async function prepareTemplates(host: Host, templates: Templates): Promise<void> {
	const [report, rootfs, generations] = await Promise.all([
		host.engine.probe(),
		host.engine.listRootfs(),
		host.engine.listGenerations(),
	]);
	if (report.isolation === "") {
		throw new DormiceError("isolation_unavailable", `No sandbox can run on this host: ${report.reason}.`);
	}
	// The newest one of a name is listed last.
	const newest = new Map(rootfs.map(({ id, name }) => [name, id]));
	for (const [alias, rootfsId] of newest) {
		const template = await ensureRow(host, alias, rootfsId);
		const current = generations.find(({ id }) => id === template.generationId);
		if (current !== undefined && fits(current, template, report)) {
			templates.put(template);
			continue;
		}
		templates.put(await store(host, template));
		await bestEffort(host.log, "deleting what no template needs any more", collect(host));
	}
}

function fits(generation: Generation, template: Template, report: HostReport): boolean {
	return (
		generation.memory &&
		generation.rootfsId === template.rootfsId &&
		generation.diskMib === template.diskMib &&
		generation.isolation === report.isolation &&
		generation.engineVersion === report.engineVersion &&
		generation.guestId === report.guestId
	);
}

async function ensureRow(host: Host, alias: string, rootfsId: string): Promise<Template> {
	return await host.database
		.insertInto("templates")
		.values({ id: newId("template"), alias, rootfsId, ...host.config.limits })
		.onConflict((conflict) => conflict.column("alias").doUpdateSet({ rootfsId, ...host.config.limits }))
		.returningAll()
		.executeTakeFirstOrThrow();
}

/** Boots the template as a sandbox nobody owns, and stores it once its supervisor answers. */
async function store(host: Host, template: Template): Promise<Template> {
	const sandboxId = newId("sandbox");
	const generationId = newId("generation");
	const beganAtMs = performance.now();
	host.log.info({ template: template.alias }, "preparing a template: booting it once");
	host.unfinished.add(sandboxId).add(generationId);
	try {
		const { address } = await host.engine.boot(sandboxId, limitsOf(template), { rootfsId: template.rootfsId });
		{
			using link = new Link({ address, fresh: true });
			await untilAnswered(link, { method: "GET", path: "/health" }, HEALTHY_WITHIN_MS);
			await bestEffort(host.log, "warming up a template", warmUp(link));
		}
		const generation = await host.engine.checkpoint(sandboxId, { generationId, memory: true, reason: REASON });
		const stored = await commit(host, template, generation);
		const durationMs = Math.round(performance.now() - beganAtMs);
		host.log.info({ template: template.alias, generation: generationId, durationMs }, "template prepared");
		return stored;
	} finally {
		await bestEffort(host.log, "clearing away a template's sandbox", host.engine.destroy(sandboxId, { forget: true }));
		host.unfinished.delete(sandboxId);
		host.unfinished.delete(generationId);
	}
}

async function commit(host: Host, template: Template, generation: Generation): Promise<Template> {
	return await host.database.transaction().execute(async (queries) => {
		await queries
			.insertInto("generations")
			.values(generationRow(generation, { templateId: template.id }))
			.execute();
		return await queries
			.updateTable("templates")
			.set({ generationId: generation.id, updatedAt: new Date() })
			.where("id", "=", template.id)
			.returningAll()
			.executeTakeFirstOrThrow();
	});
}
