import { BlockList, isIP } from "node:net";
import { DormiceError } from "@dormice/protocol";

/** The proxies before us whose `X-Forwarded-…` headers are believed; undefined: none are. */
export type TrustedProxies = BlockList | undefined;

/** Reads addresses and CIDRs, with commas between. Throws `invalid_argument` naming the one that is none. */
export function parseProxies(text: string | undefined): TrustedProxies {
	if (text === undefined) return undefined;
	const list = new BlockList();
	for (const entry of text.split(",").map((part) => part.trim())) {
		const [address = "", prefix, ...more] = entry.split("/");
		const family = isIP(address);
		const bits = family === 6 ? 128 : 32;
		const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1;
		if (family === 0 || more.length > 0 || length < 0 || length > bits) {
			throw new DormiceError("invalid_argument", `DORMICE_TRUSTED_PROXIES: '${entry}' is no IP address and no CIDR.`);
		}
		list.addSubnet(address, length, family === 6 ? "ipv6" : "ipv4");
	}
	return list;
}

export function isTrusted(proxies: TrustedProxies, address: string | undefined): boolean {
	if (proxies === undefined || address === undefined) return false;
	// An IPv4 client of a listener on `::`.
	const plain = address.replace(/^::ffff:(?=\d+\.)/i, "");
	return isIP(plain) !== 0 && proxies.check(plain, isIP(plain) === 6 ? "ipv6" : "ipv4");
}
