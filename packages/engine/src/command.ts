import { DormiceError } from "@dormice/protocol";
import { ExecaError, execa, type Options } from "execa";

export type CommandOptions = {
	/** Killed after this. */
	timeoutMs?: number;
	input?: string;
	onLine?: (line: string) => void;
	env?: Record<string, string>;
	/** The most it may print; more is a failure. */
	maxBytes?: number;
};

/** Runs one program to its end and returns its standard output. The one place where foreign programs' failures become ours. */
export async function command(file: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
	const settings = {
		timeout: options.timeoutMs ?? 30_000,
		killSignal: "SIGKILL" as const,
		stdin: options.input === undefined ? ("ignore" as const) : ("pipe" as const),
		all: options.onLine !== undefined,
		...(options.input === undefined ? {} : { input: options.input }),
		...(options.env === undefined ? {} : { env: options.env }),
		maxBuffer: options.maxBytes ?? 1 << 20,
	} satisfies Options;
	try {
		const child = execa(file, args, settings);
		if (options.onLine) {
			for await (const line of child.iterable({ from: "all" })) options.onLine(String(line));
		}
		const { stdout } = await child;
		return typeof stdout === "string" ? stdout : "";
	} catch (error) {
		if (!(error instanceof ExecaError)) throw error;
		const said = essence(String(error.stderr ?? ""));
		const what = `${file} ${args.slice(0, 3).join(" ")}`;
		if (error.code === "ENOENT")
			throw new DormiceError("not_set_up", `${file} is not installed. Run: dormice setup`, { cause: error });
		if (error.timedOut)
			throw new DormiceError("deadline_exceeded", `${what} did not end in time. ${said}`, { cause: error });
		throw failed(what, String(error.exitCode ?? error.signal ?? error.code), said, error);
	}
}

/** The beginning of what a program complained of, without its notices, and the stack that Go programs put behind an error. */
export function essence(said: string): string {
	return said
		.trim()
		.split("\n")
		.filter((line) => line !== "" && !/^[INW]: |^\s|^goroutine |^created by |^gvisor\.dev|^[\w./()*]+\(0x/.test(line))
		.slice(0, 3)
		.join(" | ")
		.slice(0, 600);
}

/** The error for a program that ended badly, from what it said. */
export function failed(what: string, code: string, said: string, cause?: unknown): DormiceError {
	if (/No space left|ENOSPC|Disk quota/i.test(said)) {
		const advice = "no space is left in the pool. Free some, or enlarge DORMICE_POOL_GIB.";
		return new DormiceError("disk_full", `${what}: ${advice}`, { cause });
	}
	return new DormiceError("command_failed", `${what} failed (${code}). ${said.trim()}`, { cause });
}
