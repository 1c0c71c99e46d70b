import { isIP, isIPv4 } from "node:net";
import { DormiceError, GUEST } from "@dormice/protocol";

/** Headers that are added to requests for one domain. */
export interface HeaderRule {
	transform?: { headers?: Record<string, string> } | undefined;
}

/** What of the network can be changed while a sandbox lives. */
export interface Egress {
	allowOut?: string[] | undefined;
	denyOut?: string[] | undefined;
	egressProxy?: { address: string; username?: string | undefined; password?: string | undefined } | null | undefined;
	rules?: Record<string, HeaderRule[]> | undefined;
}

/** A sandbox's network as it was asked for. Egress is stored and not yet acted on: nothing gets out. */
export interface Network extends Egress {
	allowPublicTraffic?: boolean | undefined;
	maskRequestHost?: string | undefined;
	httpsPorts?: number[] | undefined;
}

/** Stands for the port in `maskRequestHost`. */
export const PORT_PLACEHOLDER = `$\{PORT}`;

const ALL_TRAFFIC = "0.0.0.0/0";
const LIMIT = {
	ruleDomains: 10,
	headers: 20,
	headerName: 64,
	headerValue: 2048,
	domain: 128,
	httpsPorts: 128,
} as const;

function isCidr(entry: string): boolean {
	const [address = "", prefix, ...rest] = entry.split("/");
	// An address may have a zone, which is any text.
	if (rest.length > 0 || isIP(address) === 0 || address.includes("%")) return false;
	if (prefix === undefined) return true;
	const bits = Number(prefix);
	return /^\d{1,3}$/.test(prefix) && bits <= (isIPv4(address) ? 32 : 128);
}

function isDomain(entry: string): boolean {
	return (
		entry.length <= LIMIT.domain &&
		/^(\*\.)?([a-z0-9_]([a-z0-9_-]*[a-z0-9])?\.)*[a-z0-9_]([a-z0-9_-]*[a-z0-9])?$/i.test(entry)
	);
}

function refuse(message: string): never {
	throw new DormiceError("invalid_argument", message);
}

/** Throws `invalid_argument` saying which entry is wrong, or `permission_denied` for what this platform does not offer. */
export function checkEgress({ allowOut = [], denyOut = [], egressProxy, rules = {} }: Egress): void {
	for (const entry of denyOut) if (!isCidr(entry)) refuse(`invalid denied CIDR ${entry}: denyOut takes IPs and CIDRs`);
	const domains = allowOut.filter((entry) => !isCidr(entry));
	for (const entry of domains) {
		if (!isDomain(entry)) refuse(`invalid allowed entry ${entry}: allowOut takes IPs, CIDRs and domains`);
	}
	if (domains.length > 0 && !denyOut.includes(ALL_TRAFFIC)) {
		refuse(`allowOut with domains needs denyOut to include '${ALL_TRAFFIC}', else everything is allowed anyway`);
	}
	if (egressProxy != null) {
		throw new DormiceError("permission_denied", "An egress proxy per sandbox is not offered by this platform.");
	}
	checkRules(rules);
}

function checkRules(rules: Record<string, HeaderRule[]>): void {
	const domains = Object.entries(rules);
	if (domains.length > LIMIT.ruleDomains) refuse(`rules: at most ${LIMIT.ruleDomains} domains`);
	for (const [domain, list] of domains) {
		if (domain === "*" || !isDomain(domain)) refuse(`rules: invalid domain '${domain}'`);
		if (list.length > 1) refuse(`rules: at most one transform for domain '${domain}'`);
		for (const { transform } of list) {
			const headers = Object.entries(transform?.headers ?? {});
			if (headers.length > LIMIT.headers) refuse(`rules: at most ${LIMIT.headers} headers for domain '${domain}'`);
			for (const [name, value] of headers) {
				if (name === "" || name.length > LIMIT.headerName) {
					refuse(`rules: a header name has 1 to ${LIMIT.headerName} characters`);
				}
				if (value.length > LIMIT.headerValue) {
					refuse(`rules: the value of header '${name}' has at most ${LIMIT.headerValue} characters`);
				}
			}
		}
	}
}

/** `checkEgress`, and the ports and host name of the way in. */
export function checkNetwork(network: Network): void {
	checkEgress(network);
	const ports = network.httpsPorts ?? [];
	if (ports.length > LIMIT.httpsPorts) refuse(`httpsPorts: at most ${LIMIT.httpsPorts} ports`);
	if (new Set(ports).size !== ports.length) refuse("httpsPorts: each port once");
	for (const port of ports) {
		if (port < 1 || port > 65535) refuse(`httpsPorts: ${port} is not a port`);
		if (port === GUEST.supervisorPort) {
			refuse(`HTTPS backend routing is not supported for reserved port ${GUEST.supervisorPort}`);
		}
	}
	if (network.maskRequestHost !== undefined && !/^[A-Za-z0-9.\-_:[\]{}$]{1,255}$/.test(network.maskRequestHost)) {
		refuse(`maskRequestHost must be a host name, with '${PORT_PLACEHOLDER}' where the port goes`);
	}
}
