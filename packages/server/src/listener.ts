import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type { Gateway } from "./gateway/gateway.ts";
import { hasBody } from "./gateway/headers.ts";
import { hostName, type Route, routeOf } from "./gateway/route.ts";

export interface ListenerOptions {
	host: string;
	port: number;
	/** Asked per request: with port 0 it is known only once the listener is open. */
	domain: () => string;
	gateway: Gateway;
	api: (req: IncomingMessage, res: ServerResponse) => void;
}

const GRACE_MS = 5_000;
const IDLE_MS = 620_000;
/** As many requests under way as are worth a look after a failure. */
const MAX_TOLD = 50;

/** The one door: requests for sandboxes go to the gateway, all others to the API. */
export class Listener implements AsyncDisposable {
	readonly #server: Server;
	/** Connections that are no longer HTTP's, which the HTTP server therefore does not end. */
	readonly #switched: Set<Duplex>;
	readonly #underWay: Set<IncomingMessage>;

	private constructor(server: Server, switched: Set<Duplex>, underWay: Set<IncomingMessage>) {
		this.#server = server;
		this.#switched = switched;
		this.#underWay = underWay;
	}

	static async open({ host, port, domain, gateway, api }: ListenerOptions): Promise<Listener> {
		const server = createServer({
			maxHeaderSize: 64 * 1024,
			// A request body may take as long as it takes; its head may not.
			requestTimeout: 0,
			headersTimeout: 60_000,
			keepAliveTimeout: IDLE_MS,
			noDelay: true,
			shouldUpgradeCallback: (req) => mayUpgrade(req) && routeFor(req, domain()).to !== "api",
		});
		const underWay = new Set<IncomingMessage>();
		const dispatch = (req: IncomingMessage, res: ServerResponse, expectsContinue: boolean) => {
			underWay.add(req);
			res.once("close", () => underWay.delete(req));
			const route = routeFor(req, domain());
			if (route.to !== "api") return void gateway.handle(route, req, res);
			if (expectsContinue) res.writeContinue();
			api(req, res);
		};
		server.on("request", (req, res) => dispatch(req, res, false));
		server.on("checkContinue", (req, res) => dispatch(req, res, true));
		const switched = new Set<Duplex>();
		server.on("upgrade", (req, socket, head) => {
			switched.add(socket);
			socket.once("close", () => switched.delete(socket));
			const route = routeFor(req, domain());
			if (route.to === "api") socket.destroy();
			else void gateway.handleUpgrade(route, req, socket, head);
		});
		// This is no forward proxy, and the supervisor's own CONNECT is the host's alone.
		server.on("connect", (_req, socket) => socket.end("HTTP/1.1 405 Method Not Allowed\r\nconnection: close\r\n\r\n"));
		await new Promise<void>((resolve, reject) => {
			server.once("error", reject);
			server.listen(port, host, () => {
				server.off("error", reject);
				resolve();
			});
		});
		return new Listener(server, switched, underWay);
	}

	get port(): number {
		return (this.#server.address() as AddressInfo).port;
	}

	/** Requests that wait for their answer's end, oldest first; paths without their queries, which may hold signatures. */
	underWay(): string[] {
		return [...this.#underWay].slice(0, MAX_TOLD).map(({ method, url = "", headers }) => {
			const { host = "", "e2b-sandbox-id": id = "" } = headers;
			return `${method} ${host}${url.split("?", 1)[0]} ${String(id)}`.slice(0, 300);
		});
	}

	/** Accepts nothing more, lets requests end for a few seconds, then ends them. */
	async [Symbol.asyncDispose](): Promise<void> {
		const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
		this.#server.closeIdleConnections();
		const impatience = setTimeout(() => {
			this.#server.closeAllConnections();
			for (const socket of this.#switched) socket.destroy();
		}, GRACE_MS);
		await closed;
		clearTimeout(impatience);
	}
}

/** Others are answered in HTTP/1.1: clients that offer h2c do not insist on it, and a body would be lost in a switch. */
function mayUpgrade({ headers }: IncomingMessage): boolean {
	return !hasBody(headers) && !/^h2c$/i.test(headers.upgrade ?? "");
}

function routeFor(req: IncomingMessage, domain: string): Route {
	originForm(req);
	const { host = "", "e2b-sandbox-id": id, "e2b-sandbox-port": port } = req.headers;
	const one = (value: string | string[] | undefined) => (Array.isArray(value) ? value[0] : value);
	return routeOf({ host, sandboxId: one(id), sandboxPort: one(port), url: req.url ?? "/" }, hostName(domain));
}

/** `GET http://host/path` means host and path; everything after this sees only the path. */
function originForm(req: IncomingMessage): void {
	const absolute = /^https?:\/\/([^/?#]*)(.*)$/i.exec(req.url ?? "");
	if (absolute === null) return;
	const [, authority = "", rest = ""] = absolute;
	req.headers.host = authority.slice(authority.lastIndexOf("@") + 1);
	req.url = rest.startsWith("/") ? rest : `/${rest}`;
}
