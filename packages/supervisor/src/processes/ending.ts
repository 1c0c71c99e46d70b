/** How a process ended, in the words Go's clients know. */
export interface Ending {
	/** -1 when a signal ended it. */
	readonly exitCode: number;
	/** Whether it ended by itself. */
	readonly exited: boolean;
	readonly status: string;
	readonly error?: string;
}

const SIGNALS: Readonly<Record<number, string>> = {
	1: "hangup",
	2: "interrupt",
	3: "quit",
	4: "illegal instruction",
	5: "trace/breakpoint trap",
	6: "aborted",
	7: "bus error",
	8: "floating point exception",
	9: "killed",
	10: "user defined signal 1",
	11: "segmentation fault",
	12: "user defined signal 2",
	13: "broken pipe",
	14: "alarm clock",
	15: "terminated",
};

/** Reads a wait status: the low seven bits are the signal, the eighth a core dump, the next byte the exit code. */
export function readWaitStatus(wait: number): Ending {
	const signal = wait & 0x7f;
	if (signal === 0) {
		const exitCode = (wait >> 8) & 0xff;
		const status = `exit status ${exitCode}`;
		return exitCode === 0 ? { exitCode, exited: true, status } : { exitCode, exited: true, status, error: status };
	}
	const status = `signal: ${SIGNALS[signal] ?? `signal ${signal}`}${wait & 0x80 ? " (core dumped)" : ""}`;
	return { exitCode: -1, exited: false, status, error: status };
}
