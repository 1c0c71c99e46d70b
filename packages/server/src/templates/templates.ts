import { DormiceError, type Isolation } from "@dormice/protocol";
import { sql } from "kysely";
import type { Database } from "../database/database.ts";
import type { Template } from "../database/schema.ts";

/** The templates of this platform, in memory: a create asks no database. */
export class Templates {
	readonly #byId = new Map<string, Template>();
	readonly #generations = new Map<string, Map<Isolation, string>>();

	/** Adds a template or replaces what was known of it. */
	put(template: Template): void {
		this.#byId.set(template.id, template);
	}

	/** What new sandboxes of a template start from; undefined while it was not prepared for that isolation. */
	generation(id: string, isolation: Isolation): string | undefined {
		return this.#generations.get(id)?.get(isolation);
	}

	/** The isolations that a template is prepared for. */
	prepared(id: string): Isolation[] {
		return [...(this.#generations.get(id)?.keys() ?? [])];
	}

	/** Says what new sandboxes of a template start from; undefined: with this isolation, none can. */
	offer(id: string, isolation: Isolation, generationId: string | undefined): void {
		const ofTemplate = this.#generations.get(id) ?? new Map<Isolation, string>();
		if (generationId === undefined) ofTemplate.delete(isolation);
		else ofTemplate.set(isolation, generationId);
		this.#generations.set(id, ofTemplate);
	}

	list(): Template[] {
		return [...this.#byId.values()];
	}

	get(id: string): Template | undefined {
		return this.#byId.get(id);
	}

	/** By id or alias, without a tag; undefined if there is none. */
	find(name: string): Template | undefined {
		const bare = name.slice(name.lastIndexOf("/") + 1).toLowerCase();
		return this.#byId.get(bare) ?? this.list().find(({ alias }) => alias === bare);
	}

	/** Whether a template goes by this reference, whatever its tag. */
	knows(reference: string): boolean {
		return this.find(reference.split(":", 1)[0] ?? "") !== undefined;
	}

	/**
	 * What a client calls a template: an id or alias, with a namespace and a tag if it likes.
	 * Throws `template_not_found`.
	 */
	resolve(reference: string): Template {
		const [name = "", tag = "default", ...rest] = reference.split(":");
		const template = rest.length === 0 ? this.find(name) : undefined;
		if (template === undefined) throw new DormiceError("template_not_found", `template '${reference}' not found`);
		if (tag !== "default") {
			throw new DormiceError("template_not_found", `tag '${tag}' does not exist for template '${name}'`);
		}
		return template;
	}
}

/** Notes that a sandbox was made from a template. */
export async function countSpawn(db: Database, templateId: string): Promise<void> {
	await db
		.updateTable("templates")
		.set({ spawnCount: sql`spawn_count + 1`, lastSpawnedAt: new Date() })
		.where("id", "=", templateId)
		.execute();
}
