import { GUEST } from "@dormice/protocol";
import { command } from "../command.ts";
import { DOWNLINK, linkName, slotAddresses, slotRules, UPLINK } from "./rules.ts";

/**
 * A network slot: a router namespace with the firewall, and behind it the guest's namespace with one interface that
 * has the same address everywhere, so that a restored guest finds itself where it was.
 *
 *   host ── veth /30 ── router (nftables) ── veth 10.0.0.0/30 ── guest
 */
export type Slot = {
	readonly n: number;
	/** What the host dials to reach the guest's ports. */
	readonly address: string;
	/** Path of the guest's namespace. */
	readonly netns: string;
	/** Path of the router's namespace, where the link DOWNLINK leads to the guest. */
	readonly router: string;
};

export function slotOf(slotNet: string, n: number): Slot {
	const path = (name: string) => `/run/netns/${name}`;
	return { n, address: slotAddresses(slotNet, n).router, netns: path(guestName(n)), router: path(routerName(n)) };
}

/** Makes the slot's namespaces, links and firewall: two processes, since each `ip` start costs milliseconds. */
export async function createSlot(slotNet: string, instance: string, n: number): Promise<Slot> {
	const { host, router } = slotAddresses(slotNet, n);
	const [inside, outside] = [routerName(n), guestName(n)];
	const uplink = linkName(instance, n);
	await command("ip", ["-batch", "-"], {
		input: `netns add ${inside}
netns add ${outside}
link add ${uplink} type veth peer name ${UPLINK} netns ${inside}
addr add ${host}/30 dev ${uplink}
link set ${uplink} up
`,
	});
	await command("ip", ["netns", "exec", inside, "sh", "-euc", ROUTER_SCRIPT], {
		input: slotRules(router),
		env: { OUTSIDE: outside, ROUTER: router, HOST: host },
	});
	return slotOf(slotNet, n);
}

/** The same everywhere, so that a restored guest's neighbour table is right. */
export const MAC = { router: "02:00:0a:00:00:01", guest: "02:00:0a:00:00:02" };

const ROUTER_SCRIPT = `
nft -f -
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 2>/dev/null || true
ip -batch - <<END
link set lo up
addr add $ROUTER/30 dev ${UPLINK}
link set ${UPLINK} up
route add default via $HOST
link add ${DOWNLINK} address ${MAC.router} type veth peer name eth0 address ${MAC.guest} netns $OUTSIDE
addr add ${GUEST.gateway}/${GUEST.prefixLength} dev ${DOWNLINK}
link set ${DOWNLINK} up
END
ip netns exec $OUTSIDE sh -c 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6' 2>/dev/null || true
ip -n $OUTSIDE -batch - <<END
link set lo up
addr add ${GUEST.address}/${GUEST.prefixLength} dev eth0
link set eth0 up
route add default via ${GUEST.gateway}
END
`;

/** Removes the slot whatever is left of it; the links go with the namespaces. */
export async function destroySlot(instance: string, n: number): Promise<void> {
	for (const name of [guestName(n), routerName(n)]) {
		await command("sh", ["-c", `[ ! -e /run/netns/${name} ] || ip netns del ${name}`]);
	}
	// The namespace may already have taken it along, or be about to.
	const script = '[ ! -e "$1" ] || ip link del "$2" 2> /dev/null || [ ! -e "$1" ]';
	const link = linkName(instance, n);
	await command("sh", ["-c", script, "sh", `/sys/class/net/${link}`, link]);
}

function routerName(n: number): string {
	return `dormice-${n}-router`;
}

function guestName(n: number): string {
	return `dormice-${n}-guest`;
}
