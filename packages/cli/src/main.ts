import { CommanderError } from "commander";
import { readConfig } from "./config.ts";
import { report } from "./output.ts";
import { buildProgram } from "./program.ts";

/** Usage errors have a code of their own, so that scripts can tell a typing error from a failure. */
const USAGE_EXIT_CODE = 2;

try {
	const program = await buildProgram(readConfig(), process.argv.slice(2));
	await program.parseAsync();
} catch (error) {
	if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : USAGE_EXIT_CODE;
	else process.exitCode = report(error);
}
