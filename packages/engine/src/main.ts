import { once } from "node:events";
import { createServer } from "node:http";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { serveThawLines } from "@dormice/protocol";
import { loadConfig } from "./config.ts";
import { log } from "./log.ts";
import { closeHost, openHost } from "./open.ts";
import { Queue } from "./queue.ts";
import { RoomKeeping } from "./sandboxes/keep-room.ts";
import { Unsticking } from "./sandboxes/unstick.ts";
import { engineRoutes, thawOnLine } from "./service.ts";
import { listen } from "./socket.ts";

const LOOK_FOR_ROOM_EVERY_MS = 1_000;

const stop = new AbortController();
// For good, not once: execa ends a process that nobody else listens for, and by its turn a `once` would be gone.
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stop.abort());
// Whatever root's own is: guests' root directories and what QEMU's users read are made with modes of their own.
process.umask(0o022);
const config = loadConfig();
const host = await openHost(config);
const queue = new Queue();
const verbs = connectNodeAdapter({ routes: engineRoutes(host, queue) });
// The server ends connections that it has no use for. If both did, a verb could be sent into one that is just being closed.
const server = createServer({ keepAliveTimeout: 0 }, verbs);
const endThawLines = serveThawLines(server, (sandboxId) => thawOnLine(host, queue, sandboxId));
await listen(server, config.socket, config.serverGid);
const unsticking = new Unsticking(host, queue);
const roomKeeping = new RoomKeeping(host);
const looking = setInterval(() => {
	host.background.run("look for machines that wait for room", () => unsticking.look());
	host.background.run("keep room for journals", () => roomKeeping.look(stop.signal));
}, LOOK_FOR_ROOM_EVERY_MS);
log.info({ socket: config.socket, instance: config.instance }, "the engine is ready");

if (!stop.signal.aborted) await once(stop.signal, "abort");
log.info("stopping");
clearInterval(looking);
server.close();
server.closeAllConnections();
endThawLines();
await queue.idle();
await closeHost(host);
