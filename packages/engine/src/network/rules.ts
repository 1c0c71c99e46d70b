import { GUEST } from "@dormice/protocol";

/** Interfaces inside a slot's router namespace: towards the host, towards the guest. */
export const UPLINK = "up0";
export const DOWNLINK = "dn0";

/**
 * The slot's firewall, loaded before the guest's first instruction. Everything is dropped but connections that the
 * host opens to the guest, and their answers: a guest reaches no host, no private range, no other sandbox.
 * Behind it the guest sees one neighbour with one address, whichever slot it is in.
 */
export function slotRules(routerAddress: string): string {
	return `table inet dormice {
	chain input { type filter hook input priority 0; policy drop; }
	chain output { type filter hook output priority 0; policy drop; }
	chain forward {
		type filter hook forward priority 0; policy drop;
		iifname "${UPLINK}" oifname "${DOWNLINK}" ip daddr ${GUEST.address} accept
		iifname "${DOWNLINK}" oifname "${UPLINK}" ct direction reply ct state established,related accept
	}
	chain inwards {
		type nat hook prerouting priority dstnat;
		iifname "${UPLINK}" ip daddr ${routerAddress} meta l4proto { tcp, udp } dnat ip to ${GUEST.address}
	}
	chain disguise {
		type nat hook postrouting priority srcnat;
		oifname "${DOWNLINK}" masquerade
	}
}
`;
}

/** The host's end of a slot's link: 14 characters at most, of the 15 that the kernel allows. */
export function linkName(instance: string, n: number): string {
	return `d${instance}${n}`;
}

/** The host's side: only root and the server's group reach the platform's sandboxes; other users of the machine do not. */
export function hostRules(instance: string, serverGid: number): string {
	const table = `dormice_${instance}`;
	const links = `"${linkName(instance, 0).slice(0, -1)}*"`;
	const allowed = serverGid === 0 ? "0" : `{ 0, ${serverGid} }`;
	return `table inet ${table}
delete table inet ${table}
table inet ${table} {
	chain output {
		type filter hook output priority 0; policy accept;
		oifname ${links} meta l4proto tcp meta skgid != ${allowed} reject with tcp reset
		oifname ${links} meta skgid != ${allowed} drop
	}
	chain input {
		type filter hook input priority 0; policy accept;
		iifname ${links} ct state new drop
	}
	chain forward {
		type filter hook forward priority 0; policy accept;
		iifname ${links} drop
		oifname ${links} drop
	}
}
`;
}

/** The addresses of slot `n`: a /30 of its own between host and router. */
export function slotAddresses(slotNet: string, n: number): { host: string; router: string } {
	const base = n * 4;
	const at = (offset: number) => `${slotNet}.${base >> 8}.${(base & 255) + offset}`;
	return { host: at(1), router: at(2) };
}

/** How many slots a /16 has. */
export const SLOTS = 16384;
