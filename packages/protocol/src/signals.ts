/** Signals by their numbers on Linux, with the words in which a process's end by one is told. */
const WORDS = {
	SIGHUP: [1, "hangup"],
	SIGINT: [2, "interrupt"],
	SIGQUIT: [3, "quit"],
	SIGILL: [4, "illegal instruction"],
	SIGTRAP: [5, "trace/breakpoint trap"],
	SIGABRT: [6, "aborted"],
	SIGBUS: [7, "bus error"],
	SIGFPE: [8, "floating point exception"],
	SIGKILL: [9, "killed"],
	SIGUSR1: [10, "user defined signal 1"],
	SIGSEGV: [11, "segmentation fault"],
	SIGUSR2: [12, "user defined signal 2"],
	SIGPIPE: [13, "broken pipe"],
	SIGALRM: [14, "alarm clock"],
	SIGTERM: [15, "terminated"],
} as const satisfies Record<string, readonly [number, string]>;

const BY_NUMBER = new Map<number, string>(Object.values(WORDS));
const BY_WORDS = new Map<string, number>(Object.values(WORDS).map(([number, words]) => [words, number]));

/** Those that a client may send to a process in a sandbox. E2B's send the last two. */
const SENDABLE = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGPIPE", "SIGTERM", "SIGKILL"] as const;
export type SignalName = (typeof SENDABLE)[number];

export function signalNumber(name: SignalName): number {
	return WORDS[name][0];
}

export function isSendable(number: number): boolean {
	return SENDABLE.some((name) => WORDS[name][0] === number);
}

/** As in "signal: killed (core dumped)", the words of Go's clients. */
export function signalStatus(number: number, dumpedCore: boolean): string {
	return `signal: ${BY_NUMBER.get(number) ?? `signal ${number}`}${dumpedCore ? " (core dumped)" : ""}`;
}

/** The number again; undefined for a status that tells of none. */
export function signalOfStatus(status: string): number | undefined {
	const words = /^signal: (.*?)(?: \(core dumped\))?$/.exec(status)?.[1];
	if (words === undefined) return undefined;
	const number = BY_WORDS.get(words) ?? Number(/^signal (\d+)$/.exec(words)?.[1]);
	return Number.isNaN(number) ? undefined : number;
}
