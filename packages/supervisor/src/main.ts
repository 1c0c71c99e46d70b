import { readConfig } from "./config.ts";
import { log } from "./log.ts";
import { Spawner } from "./spawner/spawner.ts";
import { serve } from "./supervisor.ts";

/** The socket the spawner leaves us with, as `spawner/wire.h` says. */
const SPAWNER_FD = 3;

await using spawner = new Spawner({ fd: SPAWNER_FD, pid: process.ppid });
const config = readConfig();
await using server = await serve(config, spawner);
log("info", "supervisor ready", { port: server.port, hostPort: server.hostPort });
await spawner.closed;
log("error", "the spawner is gone");
// Without it nothing works, and pipes of what it started would keep us alive.
process.exit(1);
