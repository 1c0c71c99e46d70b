import { type Isolation, newId } from "@dormice/protocol";
import type { Template } from "../database/schema.ts";
import { Link } from "../guest/link.ts";
import { bestEffort } from "../log.ts";
import type { Host } from "../sandboxes/host.ts";
import { limitsOf } from "../sandboxes/start.ts";
import type { Templates } from "./templates.ts";
import { RecentUses, shares } from "./uses.ts";
import { warmUp } from "./warm.ts";

/** A sandbox made ahead, restored and then frozen, that belongs to nobody. Its id becomes its owner's. */
export interface Spare {
	id: string;
	generationId: string;
	address: string;
	isolation: Isolation | undefined;
}

/** What somebody makes a sandbox of. */
export interface Wanted {
	templateId: string;
	isolation: Isolation;
	generationId: string;
}

/** Making one takes as much of the host as a start: not while somebody's own is under way. */
const REFILL_AFTER_MS = 400;

/**
 * Sandboxes kept ready for the next creates, so that one takes a thaw instead of a restore. They use memory and no CPU.
 * No row names them: a server that dies leaves them to the repair loop of the next, which destroys them as strangers.
 */
export class Spares implements AsyncDisposable {
	readonly #host: Host;
	readonly #count: number;
	readonly #templates: Templates;
	readonly #uses = new RecentUses();
	readonly #ready: Spare[] = [];
	#timer: NodeJS.Timeout | undefined;
	#filling: Promise<void> | undefined;
	#closed = false;

	/** `count`: how many to keep of each template, whatever its isolations; 0 keeps none. */
	constructor(host: Host, count: number, templates: Templates) {
		this.#host = host;
		this.#count = count;
		this.#templates = templates;
	}

	/** A spare made from this generation, if there is one. It is the caller's from now on. */
	take({ templateId, isolation, generationId }: Wanted): Spare | undefined {
		this.#uses.note(templateId, isolation);
		const at = this.#ready.findIndex((spare) => spare.generationId === generationId);
		this.refill();
		return at < 0 ? undefined : this.#ready.splice(at, 1)[0];
	}

	/** Asks for the spares of all templates, soon; those of generations that are no template's any more go. */
	refill(): void {
		if (this.#closed || this.#count === 0) return;
		clearTimeout(this.#timer);
		this.#timer = setTimeout(() => {
			this.#filling ??= this.#fill().finally(() => {
				this.#filling = undefined;
			});
		}, REFILL_AFTER_MS).unref();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#closed = true;
		clearTimeout(this.#timer);
		await this.#filling;
		for (const spare of this.#ready.splice(0)) await this.#drop(spare.id);
	}

	async #fill(): Promise<void> {
		const wanted = this.#templates.list().flatMap((template) => this.#wantedOf(template));
		const missing = new Map(wanted.map(({ generationId, count }) => [generationId, count]));
		for (const spare of [...this.#ready]) {
			const left = missing.get(spare.generationId) ?? 0;
			missing.set(spare.generationId, left - 1);
			// Taken while another was dropped, it is somebody's.
			if (left > 0 || !this.#ready.includes(spare)) continue;
			this.#ready.splice(this.#ready.indexOf(spare), 1);
			await this.#drop(spare.id);
		}
		for (const { template, generationId, count } of wanted) {
			const has = () => this.#ready.filter((spare) => spare.generationId === generationId).length;
			while (!this.#closed && has() < count) {
				const spare = await bestEffort(this.#host.log, "making a spare sandbox", this.#make(template, generationId));
				if (spare === undefined) return;
				this.#ready.push(spare);
			}
		}
	}

	/** How many spares there are to be of a template's generations. */
	#wantedOf(template: Template): { template: Template; generationId: string; count: number }[] {
		const prepared = this.#templates.prepared(template.id);
		const recent = this.#uses.of(template.id).filter((isolation) => prepared.includes(isolation));
		const ahead = prepared.filter((isolation) => isolation === this.#host.isolations.aheadFor(template));
		return [...shares(recent.length === 0 ? ahead : recent, this.#count)].flatMap(([isolation, count]) => {
			const generationId = this.#templates.generation(template.id, isolation);
			return generationId === undefined ? [] : [{ template, generationId, count }];
		});
	}

	async #make(template: Template, generationId: string): Promise<Spare> {
		const id = newId("sandbox");
		const { engine, log, starts, unfinished } = this.#host;
		unfinished.add(id);
		try {
			const { address, isolation } = await starts.run(() => engine.restore(id, limitsOf(template), generationId));
			{
				using link = new Link({ address, fresh: true });
				await bestEffort(log, "warming up a spare sandbox", warmUp(link));
			}
			await engine.freeze(id);
			return { id, generationId, address, isolation };
		} catch (error) {
			await this.#drop(id);
			throw error;
		}
	}

	async #drop(id: string): Promise<void> {
		const { engine, log, unfinished } = this.#host;
		await bestEffort(log, "dropping a spare sandbox", engine.destroy(id, { forget: true }));
		unfinished.delete(id);
	}
}
