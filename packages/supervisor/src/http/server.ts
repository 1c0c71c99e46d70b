import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { DormiceError } from "@dormice/protocol";
import { log } from "../log.ts";
import type { RpcHandler } from "../rpc/handler.ts";
import { allowCrossOrigin } from "./cors.ts";
import { GarbageCollection } from "./garbage.ts";
import { sendJson } from "./json.ts";
import { refuse, tunnel } from "./tunnel.ts";

export type Handler = (request: IncomingMessage, response: ServerResponse, url: URL) => void | Promise<void>;

export interface Route {
	readonly handle: Handler;
	/** The methods it answers; without, every method. */
	readonly methods?: readonly string[];
	/** It needs no access token, or checks one itself. */
	readonly open?: boolean;
	/** Our own, and none of E2B's wire: its refusals say their reason too. */
	readonly own?: boolean;
}

export interface ServerOptions {
	readonly port: number;
	readonly routes: ReadonlyMap<string, Route>;
	readonly rpc?: RpcHandler;
	readonly admits?: (token: string | undefined) => boolean;
	/** The only peer that is listened to; it needs no token, and may CONNECT. Without: every peer, for pages of any origin. */
	readonly from?: string;
}

const UNAUTHORIZED = "unauthorized access, please provide a valid access token or method signing if supported";
/** Longer than the gateway keeps a connection for later, so that it is never we who close one it is about to use. */
const KEEP_ALIVE_MS = 640_000;

/** One listener of the sandbox's supervisor: for clients, or for the host alone. */
export class HttpServer implements AsyncDisposable {
	readonly #server: Server;
	readonly #options: ServerOptions;
	readonly #garbage = new GarbageCollection();

	private constructor(options: ServerOptions) {
		this.#options = options;
		// Without limits there is no timer to enforce them: an idle supervisor wakes for nothing.
		const limits = { requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: KEEP_ALIVE_MS, noDelay: true };
		this.#server = createServer(limits, (request, response) => void this.#answer(request, response));
		const { from } = options;
		if (from !== undefined) {
			// Whoever is inside may knock here too.
			this.#server.on("connection", (socket) => socket.remoteAddress !== from && socket.destroy());
		}
		this.#server.on("connect", (request, client, head) => {
			if (from === undefined) return refuse(client, "404 Not Found");
			void tunnel(request, client, head);
		});
	}

	static async listen(options: ServerOptions): Promise<HttpServer> {
		const server = new HttpServer(options);
		const { promise, resolve, reject } = Promise.withResolvers<void>();
		server.#server.once("error", reject);
		server.#server.listen(options.port, "0.0.0.0", resolve);
		await promise;
		return server;
	}

	get port(): number {
		return (this.#server.address() as AddressInfo).port;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#server.closeAllConnections();
		await this.#server[Symbol.asyncDispose]();
	}

	async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const { from, rpc, admits } = this.#options;
		this.#garbage.watch(request, response);
		let route: Route | undefined;
		try {
			if (from === undefined && allowCrossOrigin(request, response)) return;
			const url = parseUrl(request);
			route = this.#route(url.pathname);
			const token = request.headers["x-access-token"];
			if (!route?.open && admits?.(typeof token === "string" ? token : undefined) === false) {
				throw new DormiceError("unauthenticated", UNAUTHORIZED);
			}
			const call = rpc?.(url.pathname);
			if (call) return await call(request, response);
			if (!route) return sendNotFound(response);
			if (route.methods && !route.methods.includes(request.method ?? "")) return sendNotFound(response);
			await route.handle(request, response, url);
		} catch (error) {
			fail(error, request, response, { withReason: route?.own === true });
		}
	}

	/** A route for `/name/*` takes what is below `/name/`. */
	#route(path: string): Route | undefined {
		const { routes } = this.#options;
		return routes.get(path) ?? routes.get(`/${path.split("/", 2)[1]}/*`);
	}
}

/** A target is a path, however it is spelled: resolved against a base, `//x/init` would name the host `x`. */
function parseUrl(request: IncomingMessage): URL {
	const target = request.url ?? "/";
	const url = target.startsWith("/") ? URL.parse(`http://sandbox${target}`) : null;
	if (!url) throw new DormiceError("invalid_argument", "the request's target must be a path");
	// The Connect adapter insists on a host; HTTP/1.0 clients send none.
	request.headers.host ??= "sandbox";
	return url;
}

function sendNotFound(response: ServerResponse): void {
	sendJson(response, 404, { code: 404, message: "path not found" });
}

/** A failure that can still be said is said; one in the middle of an answer can only cut it short. */
function fail(
	error: unknown,
	request: IncomingMessage,
	response: ServerResponse,
	{ withReason }: { withReason: boolean },
): void {
	const known = error instanceof DormiceError ? error : undefined;
	const status = known?.status ?? 500;
	if (status >= 500 && status !== 507 && !request.destroyed) {
		log("warn", "request failed", { path: request.url?.slice(0, 200), error: String(error) });
	}
	if (response.headersSent) {
		response.destroy();
		return;
	}
	for (const name of response.getHeaderNames())
		if (/^(content|vary|last|accept)/.test(name)) response.removeHeader(name);
	// What is left of an upload is read and dropped: closing on it would reset the connection and lose the answer.
	request.unpipe().resume();
	const message = known?.message ?? "internal error";
	const reason = known?.reason ?? "internal";
	// For our own clients; the body of E2B's routes has exactly two fields.
	response.setHeader("Dormice-Reason", reason);
	sendJson(response, status, { code: status, ...(withReason && { reason }), message });
}
