import { DormiceError, untilAborted } from "@dormice/protocol";
import type { Sandbox } from "../database/schema.ts";
import type { Link } from "../guest/link.ts";
import { Backoff } from "../lifetime/backoff.ts";

/**
 * `rollback` ends with the sandbox running; `point` leaves it asleep, to wake from another state.
 * `doze`, `thaw` and `fall` are the platform's own doing: whoever asks for something waits for them.
 */
export type WorkKind =
	| "create"
	| "pause"
	| "wake"
	| "checkpoint"
	| "rollback"
	| "point"
	| "kill"
	| "repair"
	| "doze"
	| "thaw"
	| "fall";

/** Whether this is the platform's own doing, of which clients see nothing. */
export function isOwnDoing(kind: WorkKind): boolean {
	return kind === "doze" || kind === "thaw" || kind === "fall";
}

export interface Work {
	kind: WorkKind;
	result: Promise<void>;
	/** Resolves when the work is over, well or not. */
	done: Promise<void>;
	/** Requests go through although it is not over: what is left of it needs nothing of the sandbox. */
	passes: boolean;
	/** Resolves when requests go through again, at the latest when it is over. */
	passing: Promise<void>;
	pass: () => void;
	/** How many wait for it, and what is done when the last of them leaves. */
	waiting: number;
	abandon: () => void;
}

/** A sandbox that this host owns, as memory has it. The row is the truth; this is its newest known copy and what goes on. */
export class Resident {
	/** The row as last read or written. Whoever moves the row replaces it. */
	record: Sandbox;
	/** Open while its processes run. */
	link: Link | undefined;
	/**
	 * Frozen in RAM by the engine, or about to be: from the moment this is set, whoever needs the sandbox thaws it first.
	 * A fact of the engine's and of memory; the row follows it (`settle`).
	 */
	dozing = false;
	/** When `dozing` last changed. */
	turnedAt = new Date();
	/** The hooks it has, as long as it has done nothing since it was asked; undefined: ask. */
	hooks: string[] | undefined;
	/** Aborted when somebody comes for it as it falls asleep. */
	wanted = new AbortController();
	/** `Date.now()` before which it is not put to sleep by itself again. */
	fallNotBeforeMs = 0;
	/** Memory of the host that it took when that was last looked at. */
	memoryBytes = 0;
	/** Its recoveries, and its other repairs, that failed. */
	readonly recovering = new Backoff();
	readonly repairing = new Backoff();
	/** `Date.now()` before which its timeout is not acted on again. */
	expireNotBeforeMs = 0;
	#work: Work | undefined;
	#works = 0;
	#writes: Promise<unknown> = Promise.resolve();

	constructor(record: Sandbox) {
		this.record = record;
	}

	get id(): string {
		return this.record.id;
	}

	get work(): Work | undefined {
		return this.#work;
	}

	/** Differs from what it was before any work was begun or the row was moved. */
	get version(): string {
		return `${this.record.epoch}.${this.#works}`;
	}

	/** Writes to the row take turns, so that none of this process makes another lose the comparison of epochs. */
	inTurn<T>(write: () => Promise<T>): Promise<T> {
		const result = this.#writes.then(write);
		this.#writes = result.catch(() => undefined);
		return result;
	}

	/** Notes whether it stands still in RAM. */
	turn(dozing: boolean): void {
		if (this.dozing === dozing) return;
		this.dozing = dozing;
		this.turnedAt = new Date();
	}

	/**
	 * Starts a piece of work on the sandbox; there is one at a time. It belongs to nobody's request: callers may stop
	 * waiting, the work goes on to its end. Throws `state_conflict` when another one is under way.
	 */
	begin(kind: WorkKind, run: () => Promise<void>): Promise<void> {
		return this.beginShared(kind, run, () => undefined).result;
	}

	/** As `begin`, for callers who `share` it: when the last one has left, `abandon` is called. */
	beginShared(kind: WorkKind, run: () => Promise<void>, abandon: () => void): Work {
		if (this.#work !== undefined) throw changing(this.id);
		this.#works++;
		const result = (async () => {
			// Not in this tick, so that `work` is set before the work can look at it.
			await Promise.resolve();
			try {
				await run();
			} finally {
				this.#work = undefined;
			}
		})();
		const over = () => undefined;
		const done = result.then(over, over);
		const { promise: passing, resolve: pass } = Promise.withResolvers<void>();
		void done.then(pass);
		this.#work = { kind, result, done, passes: false, passing, pass, waiting: 0, abandon };
		return this.#work;
	}

	/** Lets requests through while the work goes on. */
	letPass(): void {
		if (this.#work === undefined) return;
		this.#work.passes = true;
		this.#work.pass();
	}

	/** Connects what the record says to where the sandbox runs. Replaces an older link. */
	attach(link: Link): void {
		this.detach();
		this.link = link;
	}

	/** Ends everything that is open to it. What is not connected does not doze either. */
	detach(): void {
		this.link?.[Symbol.dispose]();
		this.link = undefined;
		this.turn(false);
	}
}

/** Waits for work with whoever else does. The signal ends this caller's waiting; when the last one leaves, the work may be given up. */
export async function share(work: Work, signal: AbortSignal | undefined): Promise<void> {
	work.waiting++;
	try {
		await untilAborted(work.result, signal);
	} finally {
		if (--work.waiting === 0) work.abandon();
	}
}

export function changing(id: string): DormiceError {
	return new DormiceError("state_conflict", `Sandbox '${id}' is changing state: try again in a moment.`);
}
