import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import { GUEST } from "@dormice/protocol";

/** What survives in a fake memory image. */
export interface GuestMemory {
	counter: number;
	env: Record<string, string>;
	token: string | undefined;
}

/** The port of the fake application; LOCAL_PORT is one that listens on localhost inside. */
export const APP_PORT = 8080;
export const LOCAL_PORT = 3000;

/** A sandbox's processes, as a supervisor and one application on a loopback address of their own. */
export class FakeGuest {
	readonly address: string;
	readonly memory: GuestMemory;
	/** What the host said, for the tests to look at. */
	readonly heard: { path: string; headers: IncomingMessage["headers"]; body: string }[] = [];
	/** Requests whose client went away before their answer. */
	aborted = 0;
	syncs = 0;
	/** What its clients left running. */
	processes: { pid: number; cmd: string }[] = [];
	/** The hooks it has, and those that ran by a call of their own. */
	hooks: string[] = [];
	readonly ran: string[] = [];
	cpuUsageUs = 5;
	/** What its own processes used, by its own account; undefined for a supervisor that gives none. */
	cpuMs: number | undefined;
	memoryBytes = 7;
	#thawed: PromiseWithResolvers<void> | undefined;
	#servers: Server[] = [];

	private constructor(address: string, memory: GuestMemory) {
		this.address = address;
		this.memory = memory;
	}

	static async start(address: string, memory: GuestMemory): Promise<FakeGuest> {
		const guest = new FakeGuest(address, memory);
		const supervisor = createServer((req, res) => void guest.#supervise(req, res));
		const forHost = createServer((req, res) => void guest.#hear(req, res));
		// Servers that listen on localhost inside are reached through the supervisor.
		forHost.on("connect", (req, socket: Socket) => {
			if (req.url !== `127.0.0.1:${LOCAL_PORT}`) return socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n");
			const inner = connect(APP_PORT, address, () => {
				socket.write("HTTP/1.1 200 OK\r\n\r\n");
				socket.pipe(inner).pipe(socket);
			});
			for (const [a, b] of [
				[inner, socket],
				[socket, inner],
			] as const)
				a.on("error", () => b.destroy());
		});
		const app = createServer((req, res) => void guest.#serve(req, res));
		app.on("upgrade", (req, socket) => {
			if (req.headers.upgrade !== "websocket") {
				socket
					.on("error", () => socket.destroy())
					.once("end", () => socket.end())
					.resume();
				return void socket.write("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n");
			}
			const key = createHash("sha1").update(`${req.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`);
			socket.write(
				`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${key.digest("base64")}\r\n\r\n`,
			);
			// Not WebSocket frames: what comes in goes out, which is all a proxy has to keep.
			socket.pipe(socket);
			socket.on("error", () => socket.destroy());
		});
		guest.#servers = [supervisor, forHost, app];
		await Promise.all([
			once(supervisor.listen(GUEST.supervisorPort, address), "listening"),
			once(forHost.listen(GUEST.hostPort, address), "listening"),
			once(app.listen(APP_PORT, address), "listening"),
		]);
		return guest;
	}

	/** Connections that are open now: a checkpoint must find none. */
	async connections(): Promise<number> {
		const counts = await Promise.all(
			this.#servers.map(
				(server) =>
					new Promise<number>((resolve, reject) =>
						server.getConnections((error, count) => (error === null ? resolve(count) : reject(error))),
					),
			),
		);
		return counts.reduce((sum, count) => sum + count, 0);
	}

	/** Answers nobody until it is thawed. */
	freeze(): void {
		this.#thawed ??= Promise.withResolvers<void>();
	}

	thaw(): void {
		this.#thawed?.resolve();
		this.#thawed = undefined;
	}

	async stop(): Promise<void> {
		await Promise.all(
			this.#servers.map((server) => {
				const closed = new Promise<void>((resolve) => server.close(() => resolve()));
				server.closeAllConnections();
				return closed;
			}),
		);
	}

	/** What the host says and asks. */
	async #hear(req: IncomingMessage, res: ServerResponse): Promise<void> {
		const body = await text(req);
		await this.#thawed?.promise;
		const path = req.url ?? "";
		this.heard.push({ path, headers: req.headers, body });
		if (path === "/health") return void res.writeHead(204).end();
		if (path === "/init") {
			const { envVars, accessToken } = JSON.parse(body) as { envVars: Record<string, string>; accessToken?: string };
			const known = [accessToken, req.headers["x-access-token"]];
			if (this.memory.token !== undefined && !known.includes(this.memory.token)) return void res.writeHead(401).end();
			this.memory.env = envVars;
			this.memory.token = accessToken ?? this.memory.token;
			return void res.writeHead(204).end();
		}
		if (path === "/dormice/sync") {
			this.syncs++;
			return void res.writeHead(204).end();
		}
		if (path === "/dormice/activity")
			return void res.end(JSON.stringify({ processes: this.processes, cpuMs: this.cpuMs, hooks: this.hooks }));
		if (path === "/dormice/hooks") {
			const { hook } = JSON.parse(body) as { hook: { name: string } };
			if (this.hooks.includes(hook.name)) this.ran.push(hook.name);
			return void res.end(JSON.stringify({ hooks: this.hooks }));
		}
		if (path === "/metrics") {
			return void res.end(JSON.stringify({ cpu_used_pct: 12.5, mem_used: 1000, mem_total: 4000, mem_cache: 500 }));
		}
		res.writeHead(404).end();
	}

	/** What clients ask. */
	async #supervise(req: IncomingMessage, res: ServerResponse): Promise<void> {
		await text(req);
		await this.#thawed?.promise;
		const path = req.url ?? "";
		if (path === "/health") return void res.writeHead(204).end();
		if (path === "/envs") return void res.end(JSON.stringify(this.memory.env));
		if (path.startsWith("/files")) return void res.end("a file");
		res.writeHead(404).end(JSON.stringify({ code: 404, message: "not found" }));
	}

	async #serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
		await this.#thawed?.promise;
		const path = (req.url ?? "").split("?", 1)[0];
		if (path === "/count") return void res.end(String(++this.memory.counter));
		if (path === "/echo") return void req.pipe(res);
		if (path === "/headers") return void res.end(JSON.stringify(req.rawHeaders));
		if (path === "/swallow") {
			let bytes = 0;
			for await (const chunk of req) bytes += (chunk as Buffer).length;
			return void res.end(String(bytes));
		}
		if (path === "/trailers") {
			res.writeHead(200, { trailer: "x-sum" });
			res.write("body");
			res.addTrailers({ "x-sum": "42" });
			return void res.end();
		}
		if (path === "/forever") {
			res.writeHead(200, { "content-type": "text/event-stream" });
			res.write("data: 1\n\n");
			res.on("close", () => {
				this.aborted++;
			});
			return;
		}
		if (path === "/cut") {
			res.writeHead(200, { "content-length": "100" });
			res.write("half");
			setTimeout(() => res.destroy(), 20);
			return;
		}
		res.writeHead(404).end();
	}
}

async function text(req: IncomingMessage): Promise<string> {
	let body = "";
	for await (const chunk of req) body += String(chunk);
	return body;
}
