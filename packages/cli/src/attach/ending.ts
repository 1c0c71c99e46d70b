import { constants } from "node:os";
import type { SignalName } from "@dormice/protocol";
import type { Execution } from "@dormice/sdk";
import { bestEffort } from "../best-effort.ts";
import { BROKEN_PIPE_EXIT_CODE, onOutputGone } from "../output-gone.ts";

/** Who goes away leaves the command this long to end by itself, then to end on SIGTERM. */
const GRACE_MS = { own: 2_000, terminate: 8_000 } as const;

/** What the first, second and later signals of a kind reach the command as. */
const PASSED_ON: Record<"SIGINT" | "SIGQUIT" | "SIGTERM", SignalName[]> = {
	SIGINT: ["SIGINT", "SIGINT", "SIGKILL"],
	SIGQUIT: ["SIGQUIT", "SIGKILL"],
	SIGTERM: ["SIGTERM", "SIGKILL"],
};

const HANGUP_EXIT_CODE = 129;

/**
 * Passes on to the command what asks us to end, and ends it when whoever ran it goes away: no terminal, no reader of its
 * output. `leave` is for when even that does not end it, or the platform does not answer.
 */
export class Ending implements Disposable {
	/** Ours, where it is not the command's. */
	exitCode: number | undefined;
	readonly #execution: Execution;
	readonly #leave: () => void;
	readonly #undo = new DisposableStack();
	readonly #timers: NodeJS.Timeout[] = [];

	constructor(execution: Execution, leave: () => void) {
		this.#execution = execution;
		this.#leave = leave;
		for (const [name, passed] of Object.entries(PASSED_ON)) {
			let count = 0;
			this.#on(name as NodeJS.Signals, () => {
				const signal = passed[count++];
				if (signal !== undefined) return this.#send(signal);
				this.exitCode ??= 128 + constants.signals[name as NodeJS.Signals];
				this.#leave();
			});
		}
		this.#on("SIGHUP", () => this.#goAway("SIGHUP", HANGUP_EXIT_CODE));
		this.#undo.use(onOutputGone(() => this.#goAway("SIGPIPE", BROKEN_PIPE_EXIT_CODE)));
	}

	[Symbol.dispose](): void {
		this.#undo.dispose();
		for (const timer of this.#timers) clearTimeout(timer);
	}

	#goAway(signal: SignalName, exitCode: number): void {
		if (this.exitCode !== undefined) return;
		this.exitCode = exitCode;
		this.#send(signal);
		this.#timers.push(
			setTimeout(() => this.#send("SIGTERM"), GRACE_MS.own),
			setTimeout(() => this.#send("SIGKILL"), GRACE_MS.own + GRACE_MS.terminate),
			setTimeout(() => this.#leave(), GRACE_MS.own + GRACE_MS.terminate + GRACE_MS.own),
		);
	}

	#send(signal: SignalName): void {
		void bestEffort(`send ${signal} to the command`, this.#execution.kill(signal));
	}

	#on(name: NodeJS.Signals, act: () => void): void {
		process.on(name, act);
		this.#undo.defer(() => process.off(name, act));
	}
}
