import { quantile, round } from "./quantile.ts";
import { medians, type Work, type WorkResult } from "./steps.ts";

/** One row of a benchmark: what was measured, how often, and how long it took. */
export interface Result {
	name: string;
	n: number;
	p50Ms: number;
	p99Ms: number;
	/** The row this one is to be compared with, measured in the same run. */
	baseline?: string;
	/** Its own median against the baseline's. */
	ratio?: number;
	/** What ran the guest's instructions, where it is a virtual machine. */
	accelerator?: "kvm" | "emulated";
}

/** A part of a benchmark that could not be measured to its end. */
export interface Failure {
	part: string;
	error: string;
}

/** Collects times by name. */
export class Series {
	readonly failures: Failure[] = [];
	readonly #times = new Map<string, number[]>();
	readonly #works = new Map<string, Work[]>();

	/** Measures a part of the whole; one that fails is told, and the others go on. */
	async part(name: string, onLine: (line: string) => void, work: () => Promise<void>): Promise<void> {
		onLine(name);
		try {
			await work();
		} catch (error) {
			const why = error instanceof Error ? error.message : String(error);
			this.failures.push({ part: name, error: why });
			onLine(`${name} failed: ${why}`);
		}
	}

	add(name: string, tookMs: number): void {
		const times = this.#times.get(name);
		if (times) times.push(tookMs);
		else this.#times.set(name, [tookMs]);
	}

	/** Says what the time of a row was spent on, among these. */
	explain(name: string, verbs: readonly string[], works: readonly Work[]): void {
		const ofThese = works.filter(({ verb }) => verbs.includes(verb));
		this.#works.set(name, [...(this.#works.get(name) ?? []), ...ofThese]);
	}

	/** What was said of that. */
	works(): WorkResult[] {
		return [...this.#works].flatMap(([name, works]) => medians(name, works));
	}

	/** Does the work once and adds what it took. */
	async time<T>(name: string, work: () => Promise<T>): Promise<T> {
		const startedMs = performance.now();
		const result = await work();
		this.add(name, performance.now() - startedMs);
		return result;
	}

	results(baselines: Readonly<Record<string, string>>): Result[] {
		return [...this.#times].map(([name, times]) => {
			const row: Result = { name, n: times.length, p50Ms: quantile(times, 0.5), p99Ms: quantile(times, 0.99) };
			const baseline = baselines[name];
			const other = baseline === undefined ? undefined : this.#times.get(baseline);
			if (baseline === undefined || other === undefined) return row;
			return { ...row, baseline, ratio: round(row.p50Ms / quantile(other, 0.5)) };
		});
	}
}
