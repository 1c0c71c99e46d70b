import { readConfig } from "./config.ts";
import { reportFailure } from "./failure.ts";
import { watchOutput } from "./output-gone.ts";
import { buildProgram, separateCommand } from "./program.ts";

watchOutput();
const args = separateCommand(process.argv.slice(2));
try {
	const program = await buildProgram(readConfig(), args);
	await program.parseAsync(args, { from: "user" });
} catch (error) {
	process.exitCode = reportFailure(error, args);
}
