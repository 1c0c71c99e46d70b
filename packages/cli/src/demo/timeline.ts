import { DormiceError } from "@dormice/protocol";
import pc from "picocolors";

/** What one step of a story showed. */
export interface Moment {
	title: string;
	evidence: string;
	tookMs: number;
	ok: boolean;
}

/** A story told step by step: each does something, checks it, and says what was seen and how long it took. */
export class Timeline {
	readonly moments: Moment[] = [];
	readonly #print: (line: string) => void;

	constructor(print: (line: string) => void) {
		this.#print = print;
	}

	/** Does a step. `check` throws when what it sees is not as it must be; what it returns is the evidence. */
	async step(title: string, check: () => Promise<string>): Promise<void> {
		const startedMs = performance.now();
		try {
			this.#add({ title, evidence: await check(), tookMs: performance.now() - startedMs, ok: true });
		} catch (error) {
			const evidence = error instanceof Error ? error.message : String(error);
			this.#add({ title, evidence, tookMs: performance.now() - startedMs, ok: false });
			throw new DormiceError("command_failed", `The demo stopped at "${title}": ${evidence}`, { cause: error });
		}
	}

	#add(moment: Moment): void {
		this.moments.push(moment);
		const took = `${moment.tookMs.toFixed(0)} ms`.padStart(9);
		this.#print(
			`${moment.ok ? pc.green("✓") : pc.red("✗")} ${took}  ${moment.title.padEnd(42)} ${pc.dim(moment.evidence)}`,
		);
	}
}

/** Throws unless the condition holds. */
export function verify(condition: boolean, otherwise: string): asserts condition {
	if (!condition) throw new DormiceError("internal", otherwise);
}
