import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { GUEST } from "@dormice/protocol";
import type { Logger } from "../log.ts";
import type { Host } from "../sandboxes/host.ts";
import { forward } from "./forward.ts";
import { rawHead } from "./headers.ts";
import { admit, type Lease } from "./lease.ts";
import { isTrusted } from "./proxies.ts";
import * as refusals from "./refusal.ts";
import type { Route } from "./route.ts";
import { findSigned } from "./signed-files.ts";
import { forwardUpgrade } from "./upgrade.ts";

type SandboxRoute = Exclude<Route, { to: "api" }>;

/** Takes requests to the sandboxes they are for. For one that is up: memory and sockets, no database, no process. */
export class Gateway {
	readonly #host: Host;
	readonly #reporting: { log: Logger; suspect: () => void };

	constructor(host: Host) {
		this.#host = host;
		this.#reporting = { log: host.log, suspect: host.repairSoon };
	}

	/** An ordinary request; answers it whatever happens. */
	async handle(route: SandboxRoute, req: IncomingMessage, res: ServerResponse): Promise<void> {
		const refuse = (refusal: refusals.Refusal) => {
			if (res.headersSent) res.destroy();
			if (res.destroyed) return;
			const { headers, body } = refusals.render(refusal, req);
			// What is still to come of the request is not read: the connection cannot be used again.
			if (!req.complete) res.shouldKeepAlive = false;
			res.writeHead(refusal.status, headers);
			res.end(req.method === "HEAD" ? undefined : body);
		};
		await this.#admit(route, req, res, refuse, (lease) => {
			const { answerWithinMs } = this.#host.config;
			const behindProxy = this.#isProxy(req);
			forward({ req, res, lease, path: req.url ?? "/", behindProxy, answerWithinMs, refuse, ...this.#reporting });
		});
	}

	/** A request that wants to switch protocols, such as a WebSocket's. */
	async handleUpgrade(route: SandboxRoute, req: IncomingMessage, client: Duplex, head: Buffer): Promise<void> {
		let answered = false;
		const refuse = (refusal: refusals.Refusal) => {
			if (answered || client.destroyed) return;
			answered = true;
			const { headers, body } = refusals.render(refusal, req);
			const raw = [...Object.entries(headers).flat(), "connection", "close"];
			client.end(rawHead(`${refusal.status} Refused`, raw) + body);
		};
		client.on("error", () => client.destroy());
		await this.#admit(route, req, client, refuse, (lease) => {
			const behindProxy = this.#isProxy(req);
			forwardUpgrade({ req, client, head, lease, path: req.url ?? "/", behindProxy, refuse, ...this.#reporting });
		});
	}

	#isProxy({ socket }: IncomingMessage): boolean {
		return isTrusted(this.#host.config.trustedProxies, socket.remoteAddress);
	}

	async #admit(
		route: SandboxRoute,
		req: IncomingMessage,
		client: ServerResponse | Duplex,
		refuse: (refusal: refusals.Refusal) => void,
		go: (lease: Lease) => void,
	): Promise<void> {
		const url = req.url ?? "/";
		if (route.to === "nobody") return refuse(refusals.badAddress(route.why));
		const target = route.to === "sandbox" ? route : this.#signed(req.method ?? "", url);
		const waiting = new AbortController();
		const leave = () => waiting.abort(new Error("the client went away"));
		client.once("close", leave);
		const admission = await admit(this.#host, target, req, waiting.signal);
		client.off("close", leave);
		if (client.destroyed) return;
		if ("refusal" in admission) return refuse(admission.refusal);
		try {
			go(admission.lease);
		} catch (error) {
			refuse(refusals.failed(target.sandboxId, error));
		}
	}

	#signed(method: string, url: string): { sandboxId: string; port: number } {
		const sandboxId = findSigned(this.#host.table.values(), method, url) ?? "";
		return { sandboxId, port: GUEST.supervisorPort };
	}
}
