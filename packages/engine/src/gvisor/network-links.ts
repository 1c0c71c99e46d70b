import { GUEST } from "@dormice/protocol";
import { MAC } from "../network/slot.ts";

/**
 * The guest's interfaces as gVisor's control server takes them (runsc/boot, `CreateLinksAndRoutesArgs`): what `runsc`
 * would read off the network namespace, which is the same for every slot. The packet socket of eth0 goes with it.
 */
export function networkLinks() {
	const network = GUEST.address.replace(/\d+$/, "0");
	const mask = base64(maskOf(GUEST.prefixLength));
	const onLink = (ip: string, mask: string) => ({ Destination: { IP: ip, Mask: mask }, Gateway: "" });
	return {
		LoopbackLinks: [
			{
				Name: "lo",
				Addresses: [
					{ Address: "127.0.0.1", PrefixLen: 8 },
					{ Address: "::1", PrefixLen: 128 },
				],
				Routes: [onLink("127.0.0.0", base64(maskOf(8))), onLink("::1", base64(new Array(16).fill(255)))],
			},
		],
		FDBasedLinks: [
			{
				Name: "eth0",
				MTU: 1500,
				Addresses: [{ Address: GUEST.address, PrefixLen: GUEST.prefixLength }],
				Routes: [onLink(network, mask)],
				GSOMaxSize: 65536,
				RXChecksumOffload: true,
				LinkAddress: base64(MAC.guest.split(":").map((octet) => Number.parseInt(octet, 16))),
				/** First in, first out. */
				QDisc: 1,
				NumChannels: 1,
			},
		],
		Defaultv4Gateway: {
			Route: { Destination: { IP: "0.0.0.0", Mask: base64([0, 0, 0, 0]) }, Gateway: GUEST.gateway },
			Name: "eth0",
		},
		Defaultv6Gateway: { Route: { Destination: { IP: "", Mask: null }, Gateway: "" }, Name: "" },
		DisconnectOk: true,
	};
}

function maskOf(prefixLength: number): number[] {
	return [0, 8, 16, 24].map((before) => 256 - 2 ** (8 - Math.max(0, Math.min(8, prefixLength - before))));
}

function base64(bytes: readonly number[]): string {
	return Buffer.from(bytes).toString("base64");
}
