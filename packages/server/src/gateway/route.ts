import { isIP } from "node:net";
import { GUEST, isId } from "@dormice/protocol";

/** For whom a request is. */
export type Route =
	| { to: "api" }
	| { to: "sandbox"; sandboxId: string; port: number }
	/** It names no sandbox, but the way it was signed may: a link to a file. */
	| { to: "signed_file" }
	| { to: "nobody"; why: string };

/** What of a request says where it goes. */
export interface Address {
	host: string;
	sandboxId: string | undefined;
	sandboxPort: string | undefined;
	/** As it came: path and query. */
	url: string;
}

const API: Route = { to: "api" };

/** A sandbox's own host: `<port>-<id>`, and after a further `-` whatever older clients put there. */
const LABEL = /^(\d{1,10})-([^-]*)(-.*)?$/;

/**
 * Where a request goes. On hosts that belong to a sandbox the host decides and headers are ignored, so that a page of
 * one sandbox cannot send a browser to another. Pure, and no I/O: it runs for every request.
 */
export function routeOf({ host, sandboxId, sandboxPort, url }: Address, domain: string): Route {
	const name = hostName(host);
	if (isShared(name, domain)) {
		if (sandboxId !== undefined) return byHeaders(sandboxId, sandboxPort);
		return isSignedFile(url) ? { to: "signed_file" } : API;
	}
	const label = LABEL.exec(name.split(".", 1)[0] ?? "");
	if (label === null) return API;
	const [, port = "", id = ""] = label;
	// A host that only looks similar, like `1-2.example.org`, is somebody's name for the API.
	if (!isId("sandbox", id) && !name.endsWith(`.${domain}`)) return API;
	return toSandbox(id, port);
}

function byHeaders(sandboxId: string, port: string | undefined): Route {
	if (port === undefined) return { to: "nobody", why: "Missing header E2b-Sandbox-Port" };
	return toSandbox(sandboxId.split("-", 1)[0] ?? sandboxId, port);
}

function toSandbox(sandboxId: string, port: string): Route {
	if (!/^[a-z0-9]+$/.test(sandboxId)) return { to: "nobody", why: "Invalid sandbox ID" };
	const number = /^[1-9]\d{0,4}$/.test(port) ? Number(port) : 0;
	if (number < 1 || number > 65535) return { to: "nobody", why: "Invalid sandbox port" };
	// The supervisor takes what comes there for the host's own word.
	if (number === GUEST.hostPort) return { to: "nobody", why: `Port ${port} of a sandbox is the host's alone` };
	return { to: "sandbox", sandboxId, port: number };
}

/** Hosts under which no page of a sandbox is ever shown, so that headers may be believed. */
function isShared(name: string, domain: string): boolean {
	return name === "localhost" || name === domain || name === `sandbox.${domain}` || isIP(name) !== 0;
}

function isSignedFile(url: string): boolean {
	return /^\/files\?(.*&)?signature=/.test(url);
}

/** A Host header without its port, in lower case, and without the brackets of IPv6. */
export function hostName(host: string): string {
	const name = host.toLowerCase();
	const ipv6 = /^\[([^\]]*)\](:\d*)?$/.exec(name);
	return ipv6?.[1] ?? name.replace(/:\d*$/, "").replace(/\.$/, "");
}
