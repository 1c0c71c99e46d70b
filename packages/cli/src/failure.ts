import { DormiceError, type Reason } from "@dormice/protocol";
import { CommanderError } from "commander";
import pc from "picocolors";
import { printJson } from "./output.ts";

/** Usage errors have a code of their own, so that scripts can tell a typing error from a failure. */
const USAGE_EXIT_CODE = 2;
const FAILURE_EXIT_CODE = 1;
/** Of commands that end with another program's code: as with `docker run`, `env` and `timeout`, so that ours are told apart. */
const OWN_FAILURE_EXIT_CODE = 125;
export const TIMEOUT_EXIT_CODE = 124;

/** Says what went wrong, with `--json` also as an object on standard output, and answers the exit code for it. */
export function reportFailure(error: unknown, args: readonly string[]): number {
	const isUsage = error instanceof CommanderError;
	if (isUsage && error.exitCode === 0) return 0;
	// Commander has said it already.
	if (!isUsage) complain(error);
	if (ownArguments(args).includes("--json")) printJson({ error: describe(error) });
	if (!passesExitCode(args)) return isUsage ? USAGE_EXIT_CODE : FAILURE_EXIT_CODE;
	return reasonOf(error) === "deadline_exceeded" ? TIMEOUT_EXIT_CODE : OWN_FAILURE_EXIT_CODE;
}

/** In colour for a person; logs of a build, which picocolors would colour too, get the words alone. */
const { red } = pc.createColors(Boolean(process.stderr.isTTY) && pc.isColorSupported);

export function complain(error: unknown): void {
	const message = error instanceof DormiceError ? error.message : unexpected(error);
	process.stderr.write(`${red("dormice:")} ${message}\n`);
}

/** A failure as JSON has it. */
export function describe(error: unknown): { reason: Reason; message: string } {
	const message = error instanceof Error ? error.message : String(error);
	return { reason: reasonOf(error), message: message.replace(/^error: /, "") };
}

function reasonOf(error: unknown): Reason {
	if (error instanceof DormiceError) return error.reason;
	return error instanceof CommanderError ? "invalid_argument" : "internal";
}

/** Whether the command's exit code is that of what ran in the sandbox. */
function passesExitCode(args: readonly string[]): boolean {
	const [name = ""] = args;
	return ["exec", "connect"].includes(name) || (name === "logs" && ownArguments(args).includes("--process"));
}

/** Those before what is run. */
function ownArguments(args: readonly string[]): readonly string[] {
	const end = args.indexOf("--");
	return end === -1 ? args : args.slice(0, end);
}

/** Not one of ours: a mistake in Dormice, for which the stack is what helps. */
function unexpected(error: unknown): string {
	return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
