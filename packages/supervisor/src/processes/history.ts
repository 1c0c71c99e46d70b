import { DormiceError } from "@dormice/protocol";
import type { GuestProcess } from "./process.ts";

/** How many processes that have ended are remembered, how long, and with how much output. */
const ENDED = { count: 64, ageMs: 3_600_000, bytes: 64 << 20 } as const;

/** The processes whose output can be read: those that run, and those that ended lately. */
export class History {
	/** In the order of their starts. */
	readonly #processes = new Set<GuestProcess>();

	add(process: GuestProcess): void {
		this.#processes.add(process);
		void process.ended.then(() => this.#forget());
	}

	list(): GuestProcess[] {
		this.#forget();
		return [...this.#processes];
	}

	/** The last one that had this pid; with `startedMs` (UNIX milliseconds) that very one. Throws `process_not_found`. */
	find(pid: number, startedMs?: number): GuestProcess {
		const found = this.list().findLast(
			(process) => process.pid === pid && (startedMs === undefined || process.startedAt.getTime() === startedMs),
		);
		if (found) return found;
		throw new DormiceError("process_not_found", `no output of a process with pid ${pid} is kept`);
	}

	/** Nothing wakes for this: it is done when processes end and are asked for. */
	#forget(): void {
		const ended = [...this.#processes].filter(({ endedAtMs }) => endedAtMs !== undefined);
		let bytes = 0;
		const newestFirst = ended.toSorted((a, b) => (b.endedAtMs ?? 0) - (a.endedAtMs ?? 0));
		for (const [index, process] of newestFirst.entries()) {
			for (const transcript of process.transcripts.values()) bytes += transcript.size;
			const isOld = Date.now() - (process.endedAtMs ?? 0) > ENDED.ageMs;
			// The newest stays, whatever its size.
			if (!isOld && index < ENDED.count && (index === 0 || bytes <= ENDED.bytes)) continue;
			this.#processes.delete(process);
			for (const transcript of process.transcripts.values()) void transcript.remove();
		}
	}
}
