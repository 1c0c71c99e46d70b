import { readFileSync } from "node:fs";
import type { PlatformPaths } from "../platform/paths.ts";
import { quantile } from "./quantile.ts";

/** What the logs call the work behind a pause, and behind a wake or a start. */
export const PAUSE = ["pause", "checkpoint"];
export const WAKE = ["wake", "start", "gvisor", "vmm"];

/** A piece of work as the platform's logs tell of it. */
export interface Work {
	/** Whose log says so. */
	by: "server" | "engine";
	verb: string;
	/** Of a start: "true" when a machine waited for it. */
	ready?: string;
	totalMs: number;
	stepsMs: Record<string, number>;
}

/** Medians of one kind of work that belongs to a row. Steps may overlap; those of one's callee are within one's own. */
export interface WorkResult extends Work {
	row: string;
	n: number;
}

/** All that the logs tell of a sandbox, oldest first. */
export function worksOf(paths: PlatformPaths, sandboxId: string): Work[] {
	return (["server", "engine"] as const).flatMap((by) =>
		readFileSync(`${paths.logs}/${by}.log`, "utf8")
			.split("\n")
			.filter((line) => line.includes('"stepsMs"') && line.includes(sandboxId))
			.map((line) => ({ ...(JSON.parse(line) as Omit<Work, "by">), by })),
	);
}

/** The medians of these works, by verb. */
export function medians(row: string, works: readonly Work[]): WorkResult[] {
	return [...Map.groupBy(works, ({ by, verb }) => `${by} ${verb}`).values()].map((alike) => {
		const [{ by, verb } = { by: "server" as const, verb: "" }] = alike;
		const names = [...new Set(alike.flatMap(({ stepsMs }) => Object.keys(stepsMs)))];
		const median = (msOf: (work: Work) => number | undefined) =>
			quantile(
				alike.flatMap((work) => msOf(work) ?? []),
				0.5,
			);
		return {
			row,
			by,
			verb,
			n: alike.length,
			totalMs: median(({ totalMs }) => totalMs),
			stepsMs: Object.fromEntries(names.map((name) => [name, median(({ stepsMs }) => stepsMs[name])])),
		};
	});
}
