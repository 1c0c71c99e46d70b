import { DormiceError, type Isolation, newId } from "@dormice/protocol";
import type { Template } from "../database/schema.ts";
import type { Generation, HostDriver, HostReport } from "../engine/engine.ts";
import { bestEffort } from "../log.ts";
import { collect } from "../sandboxes/generations.ts";
import type { Host } from "../sandboxes/host.ts";
import { prepareTemplate, type Step } from "./prepare.ts";
import type { Templates } from "./templates.ts";

/** How long somebody waits for a template to be prepared; below what clients wait for an answer. */
const WAIT_MS = 45_000;

interface Underway {
	template: Template;
	isolation: Isolation;
	since: Date;
	step: Step;
	result: Promise<string>;
}

/** Whether a template can be had with an isolation. */
export interface Prepared {
	isolation: Isolation;
	status: "ready" | "preparing";
	/** Since when it is being prepared, and what is being done. */
	since?: Date;
	step?: Step;
}

/**
 * Sees to it that templates have what sandboxes start from: for the isolation that their sandboxes get unasked, ahead;
 * for any other, when it is first asked for.
 */
export class Preparation {
	readonly #host: Host;
	readonly #templates: Templates;
	readonly #underway = new Map<string, Underway>();

	constructor(host: Host, templates: Templates) {
		this.#host = host;
		this.#templates = templates;
	}

	/**
	 * Looks for new root file systems, engines and supervisors. Repeating it costs three questions; what a new engine or
	 * supervisor can no longer start is made anew. Throws `isolation_unavailable` when nothing can run here.
	 */
	async turn(): Promise<void> {
		const { engine, isolations } = this.#host;
		const [report, rootfs, generations] = await Promise.all([
			engine.probe(),
			engine.listRootfs(),
			engine.listGenerations(),
		]);
		isolations.put(report);
		if (isolations.usable.length === 0) throw nothingRuns(report);
		// The newest one of a name is listed last.
		const newest = new Map(rootfs.map(({ id, name }) => [name, id]));
		for (const [alias, rootfsId] of newest) {
			const template = await this.#ensureRow(alias, rootfsId);
			const ahead = isolations.aheadFor(template);
			const isReady = await this.#look(template, ahead, report, generations);
			this.#templates.put(template);
			if (isReady || ahead === undefined) continue;
			await this.#prepare(template, ahead).result;
			await bestEffort(this.#host.log, "deleting what no template needs any more", collect(this.#host));
		}
	}

	/**
	 * What sandboxes of a template with this isolation start from. The first who asks has it made, and everybody who asks
	 * meanwhile waits for the same. Throws `not_set_up` when that takes longer than anybody waits: it goes on.
	 */
	async ready(template: Template, isolation: Isolation): Promise<string> {
		const known = this.#templates.generation(template.id, isolation);
		if (known !== undefined) return known;
		const underway = this.#prepare(template, isolation);
		return await withinWait(underway.result, () => {
			const { since, step } = underway;
			const seconds = Math.round((Date.now() - since.getTime()) / 1000);
			const what = `Template '${template.alias}' is being prepared for its first ${isolation} sandbox`;
			return new DormiceError("not_set_up", `${what} (${step}; ${seconds} s so far): try again, it goes on meanwhile.`);
		});
	}

	/** What a template can be had with, and what it is being prepared for. */
	states({ id }: Template): Prepared[] {
		const ready = this.#templates.prepared(id).map((isolation): Prepared => ({ isolation, status: "ready" }));
		const underway = [...this.#underway.values()]
			.filter(({ template, isolation }) => template.id === id && !ready.some((one) => one.isolation === isolation))
			.map(({ isolation, since, step }): Prepared => ({ isolation, status: "preparing", since, step }));
		return [...ready, ...underway];
	}

	/** Resolves when nothing is being prepared. */
	async idle(): Promise<void> {
		await Promise.allSettled([...this.#underway.values()].map(({ result }) => result));
	}

	#prepare(template: Template, isolation: Isolation): Underway {
		const key = `${template.id} ${isolation}`;
		const underway = this.#underway.get(key);
		if (underway !== undefined) return underway;
		const run = async () => {
			try {
				const generationId = await prepareTemplate(this.#host, template, isolation, (step) => {
					begun.step = step;
				});
				this.#templates.offer(template.id, isolation, generationId);
				return generationId;
			} catch (error) {
				this.#host.log.warn({ err: error, template: template.alias, isolation }, "a template could not be prepared");
				throw error;
			} finally {
				this.#underway.delete(key);
			}
		};
		const begun: Underway = { template, isolation, since: new Date(), step: "booting", result: Promise.resolve("") };
		this.#underway.set(key, begun);
		begun.result = run();
		// Who waits hears of a failure; when nobody does any more, the log has it.
		begun.result.catch(() => undefined);
		return begun;
	}

	async #ensureRow(alias: string, rootfsId: string): Promise<Template> {
		const { config, database } = this.#host;
		return await database
			.insertInto("templates")
			.values({ id: newId("template"), alias, rootfsId, ...config.limits })
			.onConflict((conflict) => conflict.column("alias").doUpdateSet({ rootfsId, ...config.limits }))
			.returningAll()
			.executeTakeFirstOrThrow();
	}

	/**
	 * Offers what this template has and this host can start, and answers whether that is so for the isolation `ahead`. What
	 * cannot be started any more is offered no longer, and made anew when somebody asks; for `ahead` only once there is new.
	 */
	async #look(
		template: Template,
		ahead: Isolation | undefined,
		{ drivers, guestId }: HostReport,
		generations: readonly Generation[],
	): Promise<boolean> {
		const { database, isolations } = this.#host;
		const rows = await database
			.selectFrom("templateGenerations")
			.innerJoin("generations", "generations.id", "templateGenerations.generationId")
			.select(["templateGenerations.isolation", "templateGenerations.generationId", "generations.corrupt"])
			.where("templateGenerations.templateId", "=", template.id)
			.execute();
		let isReady = false;
		for (const { isolation, generationId, corrupt } of rows) {
			const driver = drivers.find((one) => one.isolation === isolation && one.usable);
			// Of what cannot run today nothing is known.
			if (driver === undefined || !isolations.usable.includes(isolation)) {
				this.#templates.offer(template.id, isolation, undefined);
				continue;
			}
			const found = generations.find(({ id }) => id === generationId);
			if (!corrupt && found !== undefined && fits(found, template, driver, guestId)) {
				this.#templates.offer(template.id, isolation, generationId);
				isReady ||= isolation === ahead;
			} else if (isolation !== ahead) await this.#withdraw(template, isolation, generationId);
		}
		return isReady;
	}

	async #withdraw(template: Template, isolation: Isolation, generationId: string): Promise<void> {
		this.#templates.offer(template.id, isolation, undefined);
		await this.#host.database
			.deleteFrom("templateGenerations")
			.where("templateId", "=", template.id)
			.where("isolation", "=", isolation)
			.where("generationId", "=", generationId)
			.execute();
	}
}

function fits(generation: Generation, template: Template, driver: HostDriver, guestId: string): boolean {
	return (
		generation.memory &&
		generation.rootfsId === template.rootfsId &&
		generation.limits.cpuCount === template.cpuCount &&
		generation.limits.memoryMib === template.memoryMib &&
		generation.limits.diskMib === template.diskMib &&
		generation.isolation === driver.isolation &&
		generation.engineVersion === driver.version &&
		generation.guestId === guestId
	);
}

function nothingRuns({ drivers }: HostReport): DormiceError {
	const why = drivers
		.map(({ isolation, emulated, reason }) => {
			return `${isolation}: ${emulated ? "in software emulation only, which `dormice up --allow-emulation` allows" : reason}`;
		})
		.join("; ");
	return new DormiceError("isolation_unavailable", `No sandbox can run on this host: ${why}.`);
}

async function withinWait<T>(result: Promise<T>, late: () => Error): Promise<T> {
	let timer: NodeJS.Timeout | undefined;
	try {
		const waiting = new Promise<never>((_, reject) => {
			timer = setTimeout(() => reject(late()), WAIT_MS);
		});
		return await Promise.race([result, waiting]);
	} finally {
		clearTimeout(timer);
	}
}
