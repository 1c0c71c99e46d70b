import { once } from "node:events";
import { readConfig } from "./config.ts";
import { openLog } from "./log.ts";
import { Server } from "./server.ts";

/** For an end in order after a mistake of ours; then it ends all the same. */
const GRACE_MS = 15_000;

const { config, secrets } = readConfig();
const log = openLog(config.logLevel);
const stop = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stop.abort());
process.on("warning", (warning) => log.warn({ err: warning }, "a warning of the process"));

let server: Server | undefined;
// What threw may have left anything half done: it is written down with what was under way, and the next server repairs.
process.on("uncaughtException", (error, origin) => {
	log.fatal({ err: error, origin, doing: server?.underWay() }, "an exception that nothing caught; stopping");
	process.exitCode = 1;
	setTimeout(() => process.exit(1), GRACE_MS).unref();
	stop.abort();
});

await using opened = await Server.open({ config, secrets, log });
server = opened;
if (!stop.signal.aborted) await once(stop.signal, "abort");
log.info("stopping; sandboxes go on");
