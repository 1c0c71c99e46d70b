import { once } from "node:events";
import { readConfig } from "./config.ts";
import { openLog } from "./log.ts";
import { Server } from "./server.ts";

const { config, secrets } = readConfig();
const log = openLog(config.logLevel);
const stop = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stop.abort());

await using _server = await Server.open({ config, secrets, log });
if (!stop.signal.aborted) await once(stop.signal, "abort");
log.info("stopping; sandboxes go on");
