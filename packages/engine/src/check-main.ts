/** Says in one line what the engine would end over in this environment, and fails; says nothing where it would start. */
import { DormiceError } from "@dormice/protocol";
import { loadConfig } from "./config.ts";

try {
	loadConfig();
} catch (error) {
	if (!(error instanceof DormiceError)) throw error;
	console.log(error.message);
	process.exitCode = 1;
}
