import { fromDatabaseError } from "../database/database.ts";
import type { Template } from "../database/schema.ts";
import type { IsolationWish } from "../isolation/choice.ts";
import type { Host } from "../sandboxes/host.ts";
import { checkDozeAfter, type Rest } from "../sandboxes/rest.ts";
import type { Retention } from "../sandboxes/retention.ts";
import type { Templates } from "./templates.ts";

/** What a template says of the sandboxes that are made from it. */
export interface TemplateSettings {
	isolation?: IsolationWish;
	rest: Partial<Rest>;
	/** Counts for those there are too, as long as they do not say otherwise. */
	retention: Partial<Retention>;
}

/** What is to be said from now on: null takes it back, so that the platform says it; what is left out stays. */
export interface SettingsChange {
	isolation?: IsolationWish | null | undefined;
	rest: { [name in keyof Rest]?: Rest[name] | null | undefined };
	retention: { [name in keyof Retention]?: number | null | undefined };
}

export function settingsOf({ isolation, doze, dozeAfterMs, sleepAfterMs, retention }: Template): TemplateSettings {
	return { ...said({ isolation }), rest: said({ doze, dozeAfterMs, sleepAfterMs }), retention: said(retention) };
}

/** Changes what a template says. Throws `invalid_argument`. */
export async function changeSettings(
	host: Host,
	templates: Templates,
	{ id }: Template,
	{ isolation, rest, retention }: SettingsChange,
): Promise<Template> {
	if (typeof rest.dozeAfterMs === "number") checkDozeAfter(rest.dozeAfterMs);
	try {
		const changed = await host.database.transaction().execute(async (queries) => {
			const row = await queries
				.selectFrom("templates")
				.select("retention")
				.where("id", "=", id)
				.forUpdate()
				.executeTakeFirstOrThrow();
			return await queries
				.updateTable("templates")
				.set({
					...defined({ isolation, ...rest }),
					retention: JSON.stringify(said({ ...row.retention, ...defined(retention) })),
					updatedAt: new Date(),
				})
				.where("id", "=", id)
				.returningAll()
				.executeTakeFirstOrThrow();
		});
		templates.put(changed);
		return changed;
	} catch (error) {
		throw fromDatabaseError(error, "changing a template's settings");
	}
}

/** Without what is null or undefined. */
function said<T extends object>(settings: T): { [name in keyof T]?: NonNullable<T[name]> } {
	const entries = Object.entries(settings).filter(([, value]) => value !== null && value !== undefined);
	return Object.fromEntries(entries) as { [name in keyof T]?: NonNullable<T[name]> };
}

function defined<T extends object>(change: T): T {
	return Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)) as T;
}
