/** Says in one line what the server would end over in this environment, and fails; says nothing where it would start. */
import { DormiceError } from "@dormice/protocol";
import { readConfig } from "./config.ts";

try {
	readConfig();
} catch (error) {
	if (!(error instanceof DormiceError)) throw error;
	console.log(error.message);
	process.exitCode = 1;
}
