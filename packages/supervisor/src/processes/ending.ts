import { signalStatus } from "@dormice/protocol";

/** How a process ended, in the words Go's clients know. */
export interface Ending {
	/** -1 when a signal ended it. */
	readonly exitCode: number;
	/** Whether it ended by itself. */
	readonly exited: boolean;
	readonly status: string;
	readonly error?: string;
}

/** Reads a wait status: the low seven bits are the signal, the eighth a core dump, the next byte the exit code. */
export function readWaitStatus(wait: number): Ending {
	const signal = wait & 0x7f;
	if (signal === 0) {
		const exitCode = (wait >> 8) & 0xff;
		const status = `exit status ${exitCode}`;
		return exitCode === 0 ? { exitCode, exited: true, status } : { exitCode, exited: true, status, error: status };
	}
	const status = signalStatus(signal, (wait & 0x80) !== 0);
	return { exitCode: -1, exited: false, status, error: status };
}
