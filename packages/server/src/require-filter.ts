/**
 * Imported before the server where whoever starts it filters its system calls: a library that cannot be preloaded is passed
 * over with a line on standard error, and this process parses what the internet sends.
 */
import { readFileSync } from "node:fs";
import { DormiceError } from "@dormice/protocol";

const mode = /^Seccomp:\s*(\d+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
if (mode !== "2") {
	throw new DormiceError(
		"not_set_up",
		"The server's system calls are not filtered, although they were to be: its library was not loaded. Run: dormice setup",
	);
}
