import { ISOLATIONS, type Isolation } from "@dormice/protocol";
import type { Templates } from "@dormice/sdk";
import { type Progress, step } from "./progress.ts";

/** What can be asked for. */
export const ISOLATION_WISHES = [...ISOLATIONS, "auto"] as const;
export type IsolationWish = (typeof ISOLATION_WISHES)[number];

/** Has a template prepared for an isolation, visibly: its first sandbox of that would wait for it in silence. */
export async function prepareFor(
	templates: Templates,
	name: string,
	isolation: IsolationWish,
	progress: Progress,
): Promise<void> {
	// What is no template is a snapshot; what `auto` gives is prepared ahead.
	const template = (await templates.list()).find((one) => one.templateId === name || one.aliases.includes(name));
	if (template === undefined || isolation === "auto" || isReady(template.isolations, isolation)) return;
	await step(progress, `Prepare ${name} for ${isolation}`, (onProgress) =>
		templates.prepare(name, { isolation, onProgress }),
	);
}

function isReady(states: readonly { isolation: Isolation; status: string }[], wanted: Isolation): boolean {
	return states.some(({ isolation, status }) => isolation === wanted && status === "ready");
}
