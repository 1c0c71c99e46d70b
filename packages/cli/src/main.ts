import { CommanderError } from "commander";
import { readConfig } from "./config.ts";
import { report } from "./output.ts";
import { buildProgram } from "./program.ts";

/** Usage errors have a code of their own, so that scripts can tell a typing error from a failure. */
const USAGE_EXIT_CODE = 2;

/** What a shell reports of a program whose reader went away, as in `dormice logs ID | head -1`. */
const BROKEN_PIPE_EXIT_CODE = 141;

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
	if (error.code !== "EPIPE") throw error;
	process.exit(BROKEN_PIPE_EXIT_CODE);
});

try {
	const program = await buildProgram(readConfig(), process.argv.slice(2));
	await program.parseAsync();
} catch (error) {
	if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : USAGE_EXIT_CODE;
	else process.exitCode = report(error);
}
