import { DormiceError } from "@dormice/protocol";
import type { Order } from "./spawner.ts";

/** The kernel's own limits of execve(2): MAX_ARG_STRLEN, with the string's end, and a quarter of an 8 MiB stack for all. */
const LONGEST_STRING_BYTES = 128 * 1024 - 1;
const TOTAL_BYTES = 2 * 1024 * 1024;
/** The end of a string, and the pointer to it. */
const BYTES_BESIDES = 9;

/** What the spawner keeps of a process for the next supervisor: a client's words, as JSON. */
const LONGEST_NOTE_BYTES = 8 * 1024 * 1024;

/** Throws `invalid_argument` for a program that the kernel would not start, before anything of it is passed on. */
export function checkSize({ file, args, environment, cwd, note }: Order): void {
	let total = 0;
	for (const [what, strings] of [
		["argument", [file, ...args]],
		["environment variable", environment],
	] as const) {
		for (const text of strings) {
			const bytes = Buffer.byteLength(text);
			total += bytes + BYTES_BESIDES;
			if (bytes > LONGEST_STRING_BYTES) {
				throw refused(
					`an ${what} of ${bytes} bytes is longer than the ${LONGEST_STRING_BYTES} that a program can be started with`,
				);
			}
		}
	}
	if (total > TOTAL_BYTES) throw tooLarge();
	if (Buffer.byteLength(cwd) > 4095) throw refused("the working directory's path is longer than 4095 bytes");
	if (Buffer.byteLength(note ?? "") > LONGEST_NOTE_BYTES) throw refused("the command's tag is too long");
}

export function tooLarge(): DormiceError {
	return refused(
		`arguments and environment are together more than the ${TOTAL_BYTES} bytes that a program can be started with`,
	);
}

function refused(why: string): DormiceError {
	return new DormiceError("invalid_argument", `${why}: write it into a file or to its standard input`);
}
